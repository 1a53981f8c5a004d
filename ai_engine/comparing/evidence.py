"""Everything that the parts of a comparison read: policies on the rows of ``select``, and the judge of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ai_engine.comparing.candidates import Candidate
from ai_engine.taught import TAUGHT, barred
from ai_engine.workspace import Workspace
from algorithms.ope.censoring import censoring_survival, censoring_weighted
from algorithms.ope.disagreement import total_variation
from algorithms.ope.estimate import Estimate
from algorithms.ope.expected_error import at_least_expected, residual_variances
from algorithms.ope.multiple_testing import is_test
from algorithms.ope.padding import unbounded_rest
from algorithms.ope.trajectories import Trajectories
from envs.card.history import history_test
from envs.dataset import Dataset
from tune_configs.judge import Judge, Judgement, episodes_in
from tune_configs.trial import unlogged_behavior

SPLIT = "select"
OF_REFERENCE = "champion: "
"""How a paired estimate begins to say that it is the reference that cannot be judged."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of P policies, the reference first.

    Attributes:
        workspace: the agent's, under the reward that is asked about.
        candidates: the policies.
        dataset: all episodes, ends marked unknown where a policy's probabilities are.
        probabilities: float64 (P, N + E, A), floors included.
        judge: of differences to the reference, on ``select``.
        found: the evaluated episodes under each policy, by model class.
    """

    workspace: Workspace
    candidates: tuple[Candidate, ...]
    dataset: Dataset
    probabilities: np.ndarray
    judge: Judge
    found: dict[str, list[Trajectories]]

    @property
    def trajectories(self) -> list[Trajectories]:
        """The evaluated episodes under each policy, by the model class that the gate uses."""
        return self.found[self.judge.first]

    @cached_property
    def weighed(self) -> list[Trajectories]:
        """The same, weighed for episodes that were cut where the judge does not."""
        if self.judge.weighs_cuts:
            return self.trajectories
        subset, survival = self.judge.subset, censoring_survival(self.judge.subset)
        return [censoring_weighted(subset, each, survival) for each in self.trajectories]

    @cached_property
    def unweighed(self) -> list[Trajectories]:
        """The same as they are without, for marginal weights."""
        pairs = zip(self.probabilities, self.trajectories, strict=True)
        return [self.judge.unweighed(probabilities, each) for probabilities, each in pairs]

    @property
    def decided(self) -> np.ndarray:
        """The policies at the evaluated decisions, float64 (P, n, A)."""
        decided: np.ndarray = self.probabilities[:, self.judge.rows]
        return decided

    @cached_property
    def distances(self) -> np.ndarray:
        """Total variation distance of each policy to the reference at the evaluated decisions, float64 (P, n)."""
        decided = self.decided
        return np.stack([total_variation(each, decided[0]) for each in decided])

    def judgement(self, number: int) -> Judgement:
        """What the judge says of a policy; nothing, where ``select`` taught it."""
        judged = self.judge.judged({name: [each[number]] for name, each in self.found.items()})
        ours, theirs = self.trajectories[number], self.trajectories[0]
        expected = self.at_least_expected(judged.gain, ours, residual_variances(theirs))
        gain = self.honest_gain(number, expected)
        taught = self.candidates[number].learned_from_select or self.candidates[0].learned_from_select
        model_gain = float("nan") if taught else judged.model_gain
        return replace(judged, value=self.honest_value(number, judged.value), gain=gain, model_gain=model_gain)

    def at_least_expected(self, gain: Estimate, candidate: Trajectories, variances: np.ndarray) -> Estimate:
        """A gain over the reference with no smaller an error than its weights lead to expect, where they multiply."""
        return gain if self.judge.marginal else at_least_expected(gain, candidate, self.trajectories[0], variances)

    def honest_value(self, number: int, estimate: Estimate) -> Estimate:
        """The estimate of a policy's value, refused where ``select`` taught the policy."""
        return barred(estimate, TAUGHT) if self.candidates[number].learned_from_select else estimate

    def honest_gain(self, number: int, estimate: Estimate) -> Estimate:
        """The estimate of a policy's gain, refused where ``select`` taught the policy or the reference.

        And where what followed a cut may have been anything, as it may under another reward than the declared one: by a
        model's word for it a policy gained .34 that loses 1.6.
        """
        if self.candidates[number].learned_from_select:
            return barred(estimate, TAUGHT)
        if self.candidates[0].learned_from_select:
            return barred(estimate, f"{OF_REFERENCE}{TAUGHT}")
        return barred(estimate, self._unbounded) if self._unbounded and is_test(estimate) else estimate

    @cached_property
    def _unbounded(self) -> str:
        return unbounded_rest(self.judge.subset)


def gather(workspace: Workspace, candidates: Sequence[Candidate]) -> Evidence:
    """Put the policies on the log, and fit the models that value them."""
    dataset, probabilities = workspace.with_known_ends(*(each.policy for each in candidates))
    judge = Judge(
        dataset,
        probabilities[0],
        evaluated=episodes_in(dataset, SPLIT),
        fitted=episodes_in(dataset, "train"),
        behavior=unlogged_behavior(dataset),
        grade=workspace.card().grade,
        markov=history_test(dataset.split("train", SPLIT)).shows_states,
    )
    stacked = np.stack(probabilities)
    others = judge.trajectories(stacked[1:])
    found = {name: [*reference, *others[name]] for name, reference in judge.champion.items()}
    return Evidence(workspace, tuple(candidates), dataset, stacked, judge, found)
