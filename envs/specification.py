"""What an agent declares once: observation, actions, reward, horizon, unit, bounds, exploration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from envs.errors import RecordError
from envs.guardrail import GuardrailSpecification
from envs.observation import ObservationSpecification

Action = str | int
INFORMATIVE, RANDOM = "informative", "random"
CENSORING = (INFORMATIVE, RANDOM)


@dataclass(frozen=True, slots=True)
class AgentSpecification:
    """The declaration of one agent (``[agents.NAME]`` in ``retrainer.toml``).

    Attributes:
        name: ``[a-z0-9][a-z0-9_-]{0,63}``.
        observation: declared fields of the observation.
        actions: the declared actions; a policy's probabilities are in this order.
        reward: expression over ``outcome`` fields, or empty where records carry ``reward``.
        reward_range: smallest and largest legal reward; a reward outside is refused at import.
        horizon: number of decisions H that an episode's return counts.
        discount: discount factor per decision.
        unit: what is independent of what: ``episode``, ``day`` or ``tenant``.
        embargo: seconds around a block's edge that belong to no split (time blocks only).
        worst_class: expression over ``outcome`` that marks a catastrophe, or empty.
        practical_effect: relative improvement of the return that is worth having.
        minimum_gain: absolute improvement of the return below which the gate keeps the champion.
        margin: absolute loss of return that is tolerated; ``None`` means half the practical effect.
        guardrails: measures of the outcome that a promotion must not make worse.
        censoring: what it means that an episode was truncated before the horizon: ``informative``, its rest may be
            worth anything within the reward range; ``random``, it was cut by chance, given what was observed before.
        abandoned_after: seconds without a further step after which an episode without an end counts as truncated; 0
            where none are declared: longer than any whole episode took.
        maturation: seconds after a decision in which its outcome may become known; 0 where none is declared.
        explore: share of decisions taken uniformly at random, the exploration floor.
        minimum_units: smallest number of units that training accepts.
        rule: ``module:function`` of the agent's own rule, or empty.
        rule_version: the version string the user declares for that rule.
        version: of the declaration; raised where a field gets another meaning under its old name.
        inferred: names of the attributes that were read off a log and not yet confirmed.
    """

    name: str
    observation: ObservationSpecification
    actions: tuple[Action, ...]
    reward: str = ""
    reward_range: tuple[float, float] | None = None
    horizon: int = 1
    discount: float = 1.0
    unit: str = "episode"
    embargo: float = 0.0
    worst_class: str = ""
    practical_effect: float = 0.02
    minimum_gain: float = 0.0
    margin: float | None = None
    guardrails: tuple[GuardrailSpecification, ...] = ()
    censoring: str = INFORMATIVE
    abandoned_after: float = 0.0
    maturation: float = 0.0
    explore: float = 0.0
    minimum_units: int = 40
    rule: str = ""
    rule_version: str = "rule-1"
    version: int = 1
    inferred: tuple[str, ...] = field(default=())

    @property
    def declared_range(self) -> tuple[float, float] | None:
        """The reward range, where it was declared and not read off a log."""
        return None if "reward_range" in self.inferred else self.reward_range

    def action_index(self, action: object) -> int:
        """Position of ``action`` in :attr:`actions`.

        Raises:
            RecordError: the action is not declared; names it and the declared ones.
        """
        try:
            return self.actions.index(action)
        except ValueError:
            shown = ", ".join(map(str, self.actions[:8])) + (", …" if len(self.actions) > 8 else "")
            raise RecordError(
                f"{action!r} is not a declared action",
                field="action",
                where=f"agent {self.name}",
                remedy=f"declared are {shown}",
            ) from None

    def action_indices(self, actions: Sequence[object]) -> list[int]:
        """Positions of several actions."""
        return [self.action_index(action) for action in actions]
