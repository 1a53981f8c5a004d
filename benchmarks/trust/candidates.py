"""Twenty policies of a fixed spread of values, as a sweep would make them: checkpoints of runs, and steps towards them.

Four runs of Q-learning, each on a small log of its own, with five checkpoints each. The twenty policies are
steps from the behaviour towards a checkpoint, each just so large that the true values form an even grid from
the worst checkpoint's to the best one's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks.sealed.families import partial_observation
from benchmarks.trust.worlds import World, explored, uniform_start_world

COUNT = 20
EXPLORE = 0.4
CHECKPOINTS = (1, 2, 4, 8, 16)
RATES = (0.5, 0.2, 0.1, 0.05)
"""Learning rate of each run."""
LEARNED_FROM = 300
STEPS = (0.1, 0.25, 0.5, 1.0)
TRUE_GAIN = 0.15


@dataclass(frozen=True, eq=False)
class Candidates:
    """What is selected from.

    Attributes:
        name: of the world.
        world: that the logs come from.
        behaviour: float64 (O, A), the policy that writes them and the champion.
        policies: float64 (COUNT, O, A), by rising true value.
        truths: float64 (COUNT,).
        last: true values of each run's last checkpoint, taken whole.
        misleading: whether models of what is observed are wrong, so that no limit of regret or ranks is asked for.
    """

    name: str
    world: World
    behaviour: np.ndarray
    policies: np.ndarray
    truths: np.ndarray
    last: np.ndarray
    misleading: bool = False

    def regret(self, chosen: int) -> float:
        """What is lost by the chosen policy, as a share of the spread of values."""
        return self.regret_of_value(float(self.truths[chosen]))

    def regret_of_value(self, value: float) -> float:
        """The same of a policy that is not among them, by its value."""
        return float((self.truths[-1] - value) / (self.truths[-1] - self.truths[0]))


@cache
def all_candidates() -> tuple[Candidates, ...]:
    """A world whose states are observed, and the same world with every three states looking alike."""
    markov = uniform_start_world(11, 30, 4, 8, end=0.02, kind="skewed")
    aliased = replace(markov, alias=np.arange(30) // 3)
    return candidates("8 steps", markov), candidates("8 steps, aliased", aliased)


@cache
def hidden_harm(seed: int = 0) -> Candidates:
    """Steps where the second action does harm that nobody observes, so that every model of what is seen praises it.

    The third action truly earns :data:`TRUE_GAIN` more everywhere. Steps lead from the behaviour to the one, to the
    other and to three random policies; their values form no even grid.
    """
    rng = np.random.default_rng([seed, 83])
    sealed = partial_observation(rng)
    actions = sealed.world.mean.shape[1]
    world = replace(sealed.world, mean=sealed.world.mean + TRUE_GAIN * (np.arange(actions) == 2))
    chosen = [np.full(world.observed_count, action) for action in (1, 2)]
    chosen += [rng.integers(actions, size=world.observed_count) for _ in range(COUNT // len(STEPS) - 2)]
    aims = [explored(np.eye(actions)[each], sealed.explore) for each in chosen]
    policies = np.stack([(1 - step) * sealed.champion + step * aim for aim in aims for step in STEPS])
    truths = np.array([world.value(policy) for policy in policies])
    order = np.argsort(truths)
    last = np.array([world.value(aim) for aim in aims])
    return Candidates("harm not observed", world, sealed.champion, policies[order], truths[order], last, True)


def candidates(name: str, world: World, seed: int = 0) -> Candidates:
    """The policies of one world; the rule that is explored around is best in every other observation only."""
    rng = np.random.default_rng([seed, 80])
    best = observed(world, world.best_policy())
    rule = np.where(np.arange(len(best))[:, None] % 2 == 0, best, np.roll(best, 1, axis=1))
    behaviour = explored(rule, EXPLORE)
    runs = [[explored(greedy, EXPLORE) for greedy in checkpoints(world, behaviour, rate, rng)] for rate in RATES]
    aims = [policy for run in runs for policy in run]
    now, values = world.value(behaviour), [world.value(aim) for aim in aims]
    policies = []
    for place, wanted in enumerate(np.linspace(min(values), max(values), COUNT)):
        reaching = [aim for aim, value in zip(aims, values, strict=True) if (value - wanted) * (wanted - now) >= 0]
        policies.append(step_of_value(world, behaviour, reaching[place % len(reaching)], float(wanted)))
    last = np.array([world.value(run[-1]) for run in runs])
    truths = np.array([world.value(policy) for policy in policies])
    return Candidates(name, world, behaviour, np.stack(policies), truths, last)


def step_of_value(world: World, behaviour: np.ndarray, aim: np.ndarray, wanted: float) -> np.ndarray:
    """(1 - η) behaviour + η aim with the wanted value, which lies between theirs."""
    below, above = 0.0, 1.0
    rises = world.value(aim) > world.value(behaviour)
    for _ in range(50):
        middle = 0.5 * (below + above)
        short = (world.value((1 - middle) * behaviour + middle * aim) < wanted) == rises
        below, above = (middle, above) if short else (below, middle)
    return (1 - above) * behaviour + above * aim


def observed(world: World, policy: np.ndarray) -> np.ndarray:
    """A policy over states as one over observations: that of the first state that looks so."""
    if world.alias is None:
        return policy
    first = np.unique(world.alias, return_index=True)[1]
    return policy[first]


def checkpoints(world: World, behaviour: np.ndarray, rate: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Greedy policies (O, A) of Q-learning after :data:`CHECKPOINTS` passes over a log of its own."""
    log = world.draw(behaviour, LEARNED_FROM, rng)
    going = log.active.copy()
    going[np.arange(LEARNED_FROM), log.active.sum(axis=1) - 1] = False  # nothing is earned after an episode's last
    columns = (log.states[:, :-1], log.actions, log.rewards, log.states[:, 1:], going)
    rows = list(zip(*(column[log.active].tolist() for column in columns), strict=True))
    table = [[0.0] * behaviour.shape[1] for _ in behaviour]
    found = []
    for number in range(1, CHECKPOINTS[-1] + 1):
        for index in rng.permutation(len(rows)):
            state, action, reward, following, goes_on = rows[index]
            target = reward + (max(table[following]) if goes_on else 0.0)
            table[state][action] += rate * (target - table[state][action])
        if number in CHECKPOINTS:
            found.append(np.eye(behaviour.shape[1])[np.argmax(table, axis=1)])
    return found
