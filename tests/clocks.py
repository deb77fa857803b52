"""Clocks that a test sets; the machine's are left alone."""

from dataclasses import dataclass

from dscore.clock import AgeClock


@dataclass
class Hands:
    """Two clocks in one: where the monotonic one stands, and where the wall's does."""

    monotonic_s: float = 1000.0
    wall_s: float = 1_700_000_000.0

    def pass_by(self, seconds: float) -> None:
        """Time passes, on both."""
        self.monotonic_s += seconds
        self.wall_s += seconds

    def set_wall(self, seconds: float) -> None:
        """The wall clock is set forward, or back."""
        self.wall_s += seconds

    def monotonic(self) -> float:
        return self.monotonic_s

    def wall(self) -> float:
        return self.wall_s

    def age_clock(self) -> AgeClock:
        return AgeClock(self.monotonic, self.wall)
