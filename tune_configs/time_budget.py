"""A time budget that a whole sweep keeps, on any machine and beside any other load.

Nothing is assumed of the machine: what starting Ray took tells what stopping it and reporting will
take, and the trials tell what loading RLlib and training take. The trials end when only that much
is left.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tune_configs.selection import select
from tune_configs.trial_result import TrialResult

STOPPING = 0.7
"""Stopping the trials and Ray, keeping versions and writing the report, as a share of the time that starting took."""
LEAST_START = 2.0
"""Seconds that starting counts for where Ray ran already."""
GROWTH = {False: 1.3, True: 2.0}
"""Rows of ``train`` and ``select``, or of all splits, as a multiple of those of ``train``."""
SLACK = 0.1
"""Share of the budget that the last training may overrun."""


@dataclass(slots=True)
class TimeBudget:
    """When a sweep ends.

    Attributes:
        started: ``time.monotonic()`` at its beginning.
        seconds: how long it may take in all.
        refit_all: whether the recommendation is trained once more on all rows whatever it is.
        start_up: seconds that starting Ray took; measured by the sweep.
        concludes: whether anything follows the trials.
    """

    started: float
    seconds: float
    refit_all: bool = False
    start_up: float = 0.0
    concludes: bool = True

    def spent(self, trials: Sequence[TrialResult]) -> bool:
        """Whether the trials must end now; never before there is a result, for then all was in vain."""
        return bool(trials) and time.monotonic() - self.started + self.closing(trials) >= self.seconds

    def closing(self, trials: Sequence[TrialResult]) -> float:
        """Seconds from the end of the trials to the end of it all, if they ended now."""
        if not self.concludes:
            return 0.0
        selection = select(tuple(trials))
        seconds = STOPPING * max(self.start_up, LEAST_START)
        if self.refit_all or selection.recommended not in selection.finalists:
            seconds += self._training(trials, selection.recommended)
        return seconds

    def allows_training(self, trials: Sequence[TrialResult], index: int) -> bool:
        """Whether there is time to train a judged variant once more."""
        left = self.seconds * (1.0 + SLACK) - (time.monotonic() - self.started)
        return self._training(trials, index) <= left

    def _training(self, trials: Sequence[TrialResult], index: int) -> float:
        """Seconds of training a variant in this process, loading the library included."""
        judged = next(trial for trial in trials if trial.index == index)
        loading = 0.0 if "ray.rllib" in sys.modules else max(trial.loading_seconds for trial in trials)
        return loading + GROWTH[self.refit_all] * judged.training_seconds
