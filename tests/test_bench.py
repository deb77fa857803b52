"""`dscore bench`: figures only of rounds in which every agent was stopped once."""

import json

import pytest

from dscore.bench import frames
from dscore.bench.rounds import BenchError, _check, measure
from dscore.cli import run


def test_a_frame_is_masked_with_zero_and_has_the_length_in_its_form() -> None:
    assert frames.frame(frames.TEXT, b"hi") == b"\x81\x82\0\0\0\0hi"
    assert frames.frame(frames.TEXT, b"x" * 126).startswith(b"\x81\xfe\0\x7e\0\0\0\0x")


@pytest.mark.parametrize("length", [0, 2, 125, 126, 300])
def test_the_reader_gives_equal_frames_wherever_the_bytes_are_cut(length: int) -> None:
    payload = b"p" * length
    head = bytes((0x81, length)) if length < 126 else b"\x81\x7e" + length.to_bytes(2, "big")
    data = head + payload + b"\x88\x02\x03\xe8"
    for cut in range(len(data) + 1):
        reader = frames.Reader()
        heard = [*reader.feed(data[:cut]), *reader.feed(data[cut:])]
        assert heard == [(frames.TEXT, payload), (frames.CLOSE, b"\x03\xe8")], cut


@pytest.mark.parametrize("data", [b"\x01\x00", b"\xc1\x00", b"\x81\x7f", b"\x81\x82"])
def test_the_reader_refuses_what_this_server_never_sends(data: bytes) -> None:
    with pytest.raises(ValueError, match="unexpected frame"):
        list(frames.Reader().feed(data))


def test_a_round_stops_every_agent_and_tells_its_progress() -> None:
    progress: list[tuple[int, int]] = []
    figures = measure(60, 2, lambda introduced, ended: progress.append((introduced, ended)))
    assert 0 < figures.told_p50_ms <= figures.told_p99_ms <= figures.told_last_ms
    assert figures.told_last_ms < figures.closed_last_ms
    assert figures.introduced_per_second > 0
    assert progress


def test_a_round_in_which_an_agent_was_missed_or_cut_off_counts_for_nothing() -> None:
    well = {"acked": 2, "request_ids": 2, "close_codes": {"1000": 2}}
    _check([well], [1, 2], 2)
    with pytest.raises(BenchError, match="of 3 agents 2 were told"):
        _check([well], [1, 2], 3)
    with pytest.raises(BenchError, match="1 were closed 1000"):
        _check([{**well, "close_codes": {"1000": 1, "1006": 1}}], [1, 2], 2)


def test_the_command_prints_its_rounds(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--agents", "20", "--rounds", "1", "--processes", "1", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["agents"] == 20
    assert document["rounds"][0]["exit_ms"] > 0


def test_the_command_refuses_a_fleet_without_descriptors(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dscore.cli.bench.resource.getrlimit", lambda which: (1024, 2048))
    assert run(["bench", "--agents", "1500"]) == 1
    assert "more descriptors than 2,048" in capfd.readouterr().err
