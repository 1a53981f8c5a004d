"""Testbed: which repair does an incident need, when only its symptoms are seen?

A decision every five minutes until the incident is resolved, a human has taken over, or an hour is
over. The reward of a decision is minus the damage of its interval (severity times the share of the
traffic that is hit), minus the repair's cost, minus what a human costs: a call-out, and the damage of
the intervals until somebody is there. A wrong repair costs its interval and can make things worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from envs.testbeds import incidents
from envs.testbeds.incidents import ACTIONS, CAUSES, ESCALATE, SERVICES
from envs.testbeds.rollout import Probabilities, explored, simulated_returns

HORIZON = 12
INTERVAL = 5
EXPLORE = 0.2
CALL_OUT = 2.0
HUMAN_INTERVALS = 3.0
"""Intervals of full damage until the human who was called has repaired it."""
OUTAGE = 0.98
"""Severity from which the service counts as down."""
WORST_REWARD = -1.0 - CALL_OUT - HUMAN_INTERVALS
NONE = len(ACTIONS)

OBSERVATION = ObservationSpecification(
    "object",
    (
        ObservationField("service", "category", categories=SERVICES),
        ObservationField("last_action", "category", categories=(*ACTIONS, "none")),
        ObservationField("minutes", "integer", low=0, unit="since the alarm"),
        ObservationField("memory_slope", unit="share of memory per hour"),
        ObservationField("restarts", "integer", low=0, unit="last 5 minutes"),
        ObservationField("error_rate", low=0.0, high=1.0),
        ObservationField("latency", low=0.0, unit="s"),
        ObservationField("disk_usage", low=0.0, high=1.0),
        ObservationField("deploy_age", low=0.0, unit="h"),
        ObservationField("dependency_errors", low=0.0, high=1.0, unit="error rate of what the service calls"),
        ObservationField("caller_errors", low=0.0, high=1.0, unit="error rate of what calls the service"),
        ObservationField("cpu_usage", low=0.0, high=1.0),
        ObservationField("cpu_steal", low=0.0, high=1.0),
    ),
)
COLUMN = {name: position for position, name in enumerate(OBSERVATION.names)}


def specification(explore: float = EXPLORE) -> AgentSpecification:
    """The self-healing agent's declaration: incidents are independent of each other."""
    return AgentSpecification(
        name="self-healing",
        observation=OBSERVATION,
        actions=ACTIONS,
        reward="-damage - repair_cost - human_cost",
        reward_range=(WORST_REWARD, 0.0),
        horizon=HORIZON,
        unit="episode",
        worst_class="outage > 0",
        practical_effect=0.02,
        explore=explore,
        rule="envs.testbeds.self_healing:runbook_rule",
        rule_version="runbook-1",
    )


def runbook_rule(observation: Mapping[str, Any]) -> str:
    """The present rule: a short runbook that restarts whatever it does not recognise."""
    if observation["minutes"] >= 20:
        return "escalate_to_human"
    if observation["disk_usage"] > 0.9:
        return "free_disk"
    if observation["deploy_age"] < 1.0:
        return "rollback_deploy"
    if observation["cpu_usage"] > 0.8:
        return "scale_out"
    return "restart_service"


def rule_probabilities(rows: np.ndarray) -> np.ndarray:
    """:func:`runbook_rule` on raw rows (N, 13) at once, as probabilities (N, 8)."""
    chosen = np.full(len(rows), ACTIONS.index("restart_service"))
    chosen = np.where(rows[:, COLUMN["cpu_usage"]] > 0.8, ACTIONS.index("scale_out"), chosen)
    chosen = np.where(rows[:, COLUMN["deploy_age"]] < 1.0, ACTIONS.index("rollback_deploy"), chosen)
    chosen = np.where(rows[:, COLUMN["disk_usage"]] > 0.9, ACTIONS.index("free_disk"), chosen)
    chosen = np.where(rows[:, COLUMN["minutes"]] >= 20, ESCALATE, chosen)
    return np.eye(len(ACTIONS))[chosen]


def allowed_of(rows: np.ndarray) -> np.ndarray:
    """Every repair may always be tried, bool (N, 8)."""
    return np.ones((len(rows), len(ACTIONS)), dtype=bool)


class SelfHealingWorld:
    """E incidents handled together; an ended one stays as it is and pays nothing.

    Attributes:
        cause: int64 (E,), hidden.
        service: int64 (E,).
        severity: float64 (E,), 0 … 1, hidden; 0 once resolved.
        active: bool (E,), incidents that are neither resolved nor handed over.
        step_count: decisions so far.
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.service = rng.integers(len(SERVICES), size=count)
        shares = np.cumsum(incidents.CAUSE_SHARES[self.service], axis=1)
        self.cause = (rng.random(count)[:, None] * shares[:, -1:] >= shares).sum(axis=1)
        self.severity = rng.uniform(0.25, 0.7, size=count)
        recent = rng.random(count) < incidents.RECENT_DEPLOY[self.cause]
        self.deploy_age = np.where(recent, rng.uniform(0.1, 2.0, size=count), 2.0 + rng.exponential(60.0, size=count))
        self.disk = np.where(
            self.cause == CAUSES.index("full_disk"), rng.uniform(0.95, 1.0, size=count), rng.uniform(0.3, 0.94, count)
        )
        self.cpu = rng.uniform(0.3, 0.65, size=count)
        self.last_action = np.full(count, NONE)
        self.active = np.ones(count, dtype=bool)
        self.step_count = 0
        self._measure()

    def _measure(self) -> None:
        """Draws the symptoms of the present interval; they stay until the next decision has been carried out."""
        rng, severity, cause = self.rng, self.severity, self.cause
        count = len(severity)

        def noisy(level: np.ndarray) -> np.ndarray:
            return level * np.exp(rng.normal(0.0, 0.35, size=count))

        def share(level: np.ndarray) -> np.ndarray:
            return np.clip(noisy(level), 0.0, 1.0)

        errors = 0.01 + severity * incidents.ERROR_RATE[cause]
        self.symptoms = np.column_stack(
            [
                self.service,
                self.last_action,
                np.full(count, self.step_count * INTERVAL),
                severity * incidents.MEMORY_SLOPE[cause] + rng.normal(0.0, 0.5, size=count),
                rng.poisson(0.1 + severity * incidents.RESTARTS[cause]),
                share(errors),
                noisy(0.1 + severity * incidents.LATENCY[cause]),
                np.clip(self.disk + rng.normal(0.0, 0.01, size=count), 0.0, 1.0),
                self.deploy_age + self.step_count * INTERVAL / 60.0,
                share(0.01 + severity * incidents.DEPENDENCY_ERRORS[cause]),
                share(0.01 + 0.4 * errors * incidents.CALLERS[self.service]),
                np.clip(self.cpu + severity * incidents.CPU_USAGE[cause] + rng.normal(0.0, 0.06, size=count), 0.0, 1.0),
                share(0.02 + severity * incidents.CPU_STEAL[cause]),
            ]
        ).astype(np.float64)

    def observe(self) -> np.ndarray:
        """Raw observation rows, float64 (E, 13), in the order of :data:`OBSERVATION`."""
        return self.symptoms.copy()

    def allowed(self) -> np.ndarray:
        """Actions possible now, bool (E, 8): all."""
        return allowed_of(self.symptoms)

    def step(self, actions: np.ndarray) -> dict[str, np.ndarray]:
        """Applies one repair per incident and lets five minutes pass; returns the outcome columns, (E,) each.

        The damage is that of the interval at the severity which the repair met: a success ends only what follows.
        """
        active, cause, severity = self.active, self.cause, self.severity
        escalated = active & (actions == ESCALATE)
        # Drawn for every incident, ended or not, so that the others' fate does not depend on it.
        success = self.rng.random(len(active)) < incidents.RESOLVES[cause, actions]
        resolved = active & success & ~escalated
        hit = severity * incidents.TRAFFIC[self.service]
        outcome = {
            "damage": np.where(active, hit, 0.0),
            "repair_cost": np.where(active, incidents.COSTS[actions], 0.0),
            "human_cost": np.where(escalated, CALL_OUT + HUMAN_INTERVALS * hit, 0.0),
            "outage": (active & (severity >= OUTAGE)).astype(float),
            "resolved": resolved.astype(float),
            "escalated": escalated.astype(float),
        }
        going = active & ~resolved & ~escalated
        worse = np.minimum(severity + incidents.DRIFT[cause] + incidents.WORSENS[cause, actions], 1.0)
        self.severity = np.where(going, worse, np.where(resolved, 0.0, severity))
        self.last_action = np.where(active, actions, self.last_action)
        self.active = going
        self.step_count += 1
        self._measure()
        return outcome


def reward_of(outcome: Mapping[str, np.ndarray]) -> np.ndarray:
    """The declared reward expression on outcome columns."""
    return -outcome["damage"] - outcome["repair_cost"] - outcome["human_cost"]


def diagnosing_probabilities(rows: np.ndarray) -> np.ndarray:
    """A better policy written by someone who knows the symptoms, (N, 8): a yardstick, never a training target."""
    chosen = np.full(len(rows), ACTIONS.index("restart_service"))
    chosen = np.where(rows[:, COLUMN["restarts"]] >= 2, ACTIONS.index("clear_cache"), chosen)
    blamed = (rows[:, COLUMN["deploy_age"]] < 2.0) & (rows[:, COLUMN["memory_slope"]] < 1.0)
    chosen = np.where(blamed & (rows[:, COLUMN["restarts"]] < 3), ACTIONS.index("rollback_deploy"), chosen)
    chosen = np.where(rows[:, COLUMN["cpu_steal"]] > 0.07, ACTIONS.index("scale_out"), chosen)
    chosen = np.where(rows[:, COLUMN["dependency_errors"]] > 0.1, ACTIONS.index("failover"), chosen)
    chosen = np.where(rows[:, COLUMN["disk_usage"]] > 0.945, ACTIONS.index("free_disk"), chosen)
    return np.eye(len(ACTIONS))[np.where(rows[:, COLUMN["minutes"]] >= 40, ESCALATE, chosen)]


def draw_world(count: int, *, rng: np.random.Generator) -> SelfHealingWorld:
    """E fresh independent incidents; they draw from a generator of their own, seeded by ``rng``."""
    return SelfHealingWorld(count, np.random.default_rng(rng.integers(2**63)))


def true_returns(probabilities: Probabilities, *, episodes: int = 4_000, seed: int = 0) -> np.ndarray:
    """Returns of simulated incidents under a policy, float64 (E,); the same seed draws the same incidents.

    Args:
        probabilities: raw rows (E, 13) to action probabilities (E, 8).
        episodes: number of incidents.
        seed: of incidents and actions.
    """
    rng = np.random.default_rng([seed, 4])
    return simulated_returns(draw_world(episodes, rng=rng), probabilities, reward_of, horizon=HORIZON, rng=rng)


def exploring(explore: float = EXPLORE) -> Probabilities:
    """The policy that writes the log: the runbook with bounded exploration."""
    return explored(rule_probabilities, explore, allowed_of)
