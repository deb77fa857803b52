"""Arguments that are one of a few words, or a number: a wrong one is named with the right ones."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeVar

_Word = TypeVar("_Word", bound=str)


def one_of(name: str, value: _Word, words: Sequence[str]) -> _Word:
    """The value, if it is one of the words.

    Args:
        name: of the argument.
        value: what was given for it.
        words: what it may be, usually `get_args` of a Literal.

    Raises:
        ValueError: it is another one.
    """
    if isinstance(value, str) and value in words:
        return value
    near = get_close_matches(value, words, n=1) if isinstance(value, str) else []
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}: {value!r} is none of {', '.join(words)}{meant}")


def number(name: str, value: object, lowest: float, highest: float) -> float:
    """The value, if it is a number within the bounds, both included. True is none, NaN is none.

    Raises:
        ValueError: it is no such number.
    """
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and lowest <= value <= highest
    ):
        return float(value)
    raise ValueError(f"{name}: {value!r} is not a number between {lowest:g} and {highest:g}")


def flag(name: str, value: object) -> None:
    """Passes True and False.

    Raises:
        ValueError: it is something else: a text such as "off" would count as True.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {value!r} is neither True nor False")
