"""How far an import is: rows, rows a second, time left."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of an import.

    Attributes:
        phase: ``reading`` or ``writing``.
        rows: rows read, or written, those before a kill included.
        fresh: the same by this process.
        done: how much of ``total`` is done, in bytes or rows.
        begun: the same when this process began.
        total: how much there is; 0 where that is not known.
        seconds: since this process began.
    """

    phase: str
    rows: int
    fresh: int
    done: int
    begun: int
    total: int
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """Time left at the same speed; ``None`` where it cannot be known."""
        fresh = self.done - self.begun
        if not self.total or fresh <= 0 or self.seconds <= 0.0:
            return None
        return max(self.total - self.done, 0) * self.seconds / fresh

    def __str__(self) -> str:
        left = self.seconds_left
        speed = f", {self.fresh / self.seconds:,.0f} rows/s" if self.seconds > 0.0 else ""
        return f"{self.phase}: {self.rows:,} rows{speed}" + (f", {_duration(left)} left" if left is not None else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
