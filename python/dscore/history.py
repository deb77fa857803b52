"""What the fleet was like lately: a ring of samples for an hour, one of minutes for a day.

A sample is 44 bytes, and what is asked for is unpacked when it is asked for.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from dscore.states import State
from dscore.store import Minute
from dscore.store.rows import SAMPLE

INTERVAL: Final = 5.0
"""Seconds between two samples."""
SPAN: Final = 3600
"""Seconds that samples are held."""
LONG_SPAN: Final = 86_400
"""Seconds that minutes are held."""
STATES: Final[tuple[State, ...]] = get_args(State)

Span: TypeAlias = Literal["hour", "day"]
_MAX_COUNT: Final = (1 << 32) - 1


class Sample(NamedTuple):
    """The fleet at one moment."""

    at: int
    """Unix milliseconds."""
    states: tuple[int, ...]
    """Agents in each state, in the order of `STATES`."""
    connects: int
    """Introductions since the sample before."""
    disconnects: int
    """Connections of agents that have ended since."""


class Rings:
    """Samples and minutes, oldest first. The truth while the process lives; a store has a copy."""

    def __init__(self) -> None:
        self._samples: deque[bytes] = deque(maxlen=round(SPAN / INTERVAL))
        self._minutes: deque[bytes] = deque(maxlen=LONG_SPAN // 60)
        self._open: list[bytes] = []
        """The samples of the minute that is not over."""

    def restore(self, minutes: Sequence[Minute], now: int) -> None:
        """Takes up what an earlier process has kept.

        Args:
            now: Unix milliseconds; what is later was written by a clock that was wrong.
        """
        for minute in minutes:
            at = 0
            for packed in _split(minute.samples):
                began, at = at, SAMPLE.unpack(packed)[0]
                if not (max(began, now - LONG_SPAN * 1000) < at <= now):
                    continue
                if at > now - SPAN * 1000:
                    self._samples.append(packed)
                self._add(packed)
        # That of now goes on, or what was kept of it would be written over.
        if self._open and _at(self._open[-1]) // 60_000 != now // 60_000:
            self.close_minute()

    def add(self, sample: Sample) -> Minute | None:
        """Adds a sample.

        Returns:
            A minute that is over by it.
        """
        packed = _pack(sample)
        # A clock that was set back: times grow.
        for ring in (self._samples, self._minutes, self._open):
            while ring and _at(ring[-1]) >= sample.at:
                ring.pop()
        self._samples.append(packed)
        return self._add(packed)

    def close_minute(self) -> Minute | None:
        """Ends the minute that is not over; None: it has no sample."""
        if not self._open:
            return None
        samples = [_unpack(packed) for packed in self._open]
        summed = samples[-1]._replace(
            connects=sum(each.connects for each in samples),
            disconnects=sum(each.disconnects for each in samples),
        )
        self._minutes.append(_pack(summed))
        minute = Minute(summed.at // 60_000, b"".join(self._open))
        self._open = []
        return minute

    def read(self, span: Span, after: int = 0) -> list[Sample]:
        """What is later than `after`, in Unix milliseconds."""
        ring = self._samples if span == "hour" else self._minutes
        fitting = (packed for packed in ring if _at(packed) > after)
        return [_unpack(packed) for packed in fitting]

    def _add(self, packed: bytes) -> Minute | None:
        is_next = bool(self._open) and _at(self._open[-1]) // 60_000 != _at(packed) // 60_000
        ended = self.close_minute() if is_next else None
        self._open.append(packed)
        return ended


class Counter:
    """What of a fleet's sums is new since it was asked last."""

    def __init__(self) -> None:
        self._connected = self._disconnects = 0

    def sample(
        self, at: int, states: Mapping[State, int], connected: int, disconnects: int
    ) -> Sample:
        """
        Args:
            at: Unix milliseconds.
            connected: agents that have a connection.
            disconnects: connections of agents that have ended, ever.
        """
        ended = disconnects - self._disconnects
        # One that has come has gone again, or is there: no introduction need be counted.
        came = max(0, connected - self._connected + ended)
        self._connected, self._disconnects = connected, disconnects
        return Sample(at, tuple(states.get(state, 0) for state in STATES), came, ended)


def _pack(sample: Sample) -> bytes:
    counts = (*sample.states, sample.connects, sample.disconnects)
    return SAMPLE.pack(sample.at, *(min(count, _MAX_COUNT) for count in counts))


def _unpack(packed: bytes) -> Sample:
    at, *states, connects, disconnects = SAMPLE.unpack(packed)
    return Sample(at, tuple(states), connects, disconnects)


def _at(packed: bytes) -> int:
    at: int = SAMPLE.unpack_from(packed)[0]
    return at


def _split(samples: bytes) -> Iterator[bytes]:
    for start in range(0, len(samples), SAMPLE.size):
        yield samples[start : start + SAMPLE.size]
