"""The agent tells of labels that the server would leave out."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from dscore.labels import as_dict
from dscore_agent.labels import MAX_LABELS, MAX_NAME, MAX_VALUE, faults
from labelled import read_labels


def test_what_is_left_out_has_a_fault_and_nothing_else_has() -> None:
    assert faults({"labels": {"site": "busan", "카메라": ""}}) == faults({}) == []
    assert faults({"labels": "site"}) == ["labels must be an object of short texts"]
    wrong = {"site": 1, "a=b": "x", "n" * (MAX_NAME + 1): "x", "long": "v" * (MAX_VALUE + 1)}
    assert faults({"labels": wrong}) == [
        "labels.site must be a text",
        "labels.a=b must have a name of 1 to 63 characters without =",
        f"labels.{'n' * 64} must have a name of 1 to 63 characters without =",
        "labels.long must have at most 128 characters",
    ]
    many = {f"n{number}": "" for number in range(MAX_LABELS + 1)}
    assert faults({"labels": many}) == ["labels must be at most 16"]


def lengths(limit: int) -> st.SearchStrategy[str]:
    """Texts around a limit, some with an equals sign."""
    text = st.text(alphabet="ab=é카", max_size=4)
    padding = st.sampled_from([0, limit - 2, limit - 1, limit, limit + 1])
    return st.tuples(text, padding).map(lambda pair: pair[0] + "x" * (pair[1] - len(pair[0])))


@given(
    st.dictionaries(
        lengths(MAX_NAME),
        lengths(MAX_VALUE) | st.sampled_from([None, 3, True, [], {}]),
        max_size=MAX_LABELS + 3,
    )
    | st.sampled_from([None, [], "site"])
)
def test_the_agent_s_rule_is_the_server_s(labels: object) -> None:
    config = {"labels": labels}
    taken = as_dict(read_labels(orjson.dumps(config)))
    assert (faults(config) == []) == (labels == taken)
