"""Families of worlds drawn from a seed: in each one thing that fools a careless test, and the exact truth of it.

The rule that writes the first log always takes the first action. In every family but the last no policy within
reach is truly better by more than a margin that is drawn as well, and most are worse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.sealed.log import DAY, SealedLog
from benchmarks.trust.worlds import NOISES, World, explored, join, uniform_start_world

PRACTICAL = 0.25
"""Declared practical effect, in standard deviations of a return."""
LONGEST_MEAN = 20
"""Mean number of decisions of an episode, however long the declared horizon is."""
DAYS, PER_DAY, REQUESTS = 320, 2, 6
SPAN, MATURATION = 20 * DAY, 5 * DAY
"""How long a log of late outcomes is, and after how long all of them are known, in seconds."""
MOMENTS = 2_000
"""Episodes from which a return's mean and spread are taken."""


def rule(observation: object) -> str:
    """The agents' own rule, under every observation."""
    return "a0"


@dataclass(frozen=True, eq=False)
class SealedWorld:
    """One drawn world.

    Attributes:
        family: a key of :data:`FAMILIES`.
        world: states, transitions, mean rewards: the truth.
        explore: the declared floor of the logging policy.
        episodes: of one cycle's log.
        happens: what the family adds to a log drawn from ``world``, by the policy that drew it.
        declared: further fields of the declaration.
        alone: whether every decision of the world's episodes is declared an episode of its own.
        mean: return of the first champion.
        scale: its standard deviation.
    """

    family: str
    world: World
    explore: float
    episodes: int
    happens: Callable[[SealedWorld, np.ndarray, np.random.Generator], SealedLog]
    declared: dict[str, object] = field(default_factory=dict)
    alone: bool = False
    mean: float = 0.0
    scale: float = 1.0

    @property
    def horizon(self) -> int:
        """As it is declared."""
        return 1 if self.alone else self.world.horizon

    @property
    def champion(self) -> np.ndarray:
        """The first champion, (O, A): the rule with its floor."""
        return explored(self.rule, self.explore)

    @property
    def rule(self) -> np.ndarray:
        """The rule as a table, (O, A)."""
        return np.eye(self.world.mean.shape[1])[np.zeros(self.world.observed_count, dtype=np.int64)]

    def draw(self, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
        """One cycle's log, written by a policy over observations (O, A)."""
        found = self.happens(self, policy, rng)
        return found.alone() if self.alone else found

    def value(self, policy: np.ndarray) -> float:
        """Exact expected return of a declared episode under a policy (O, A)."""
        return self.world.value(policy) / (self.world.horizon if self.alone else 1)

    def gain(self, policy: np.ndarray, champion: np.ndarray) -> float:
        """True gain of a policy over another, in standard deviations of the first champion's return.

        Rounding errors are no gain.
        """
        gain = (self.value(policy) - self.value(champion)) / self.scale
        return gain if abs(gain) > 1e-9 else 0.0


Draw = Callable[[np.random.Generator], SealedWorld]


def sealed_world(family: str, rng: np.random.Generator) -> SealedWorld:
    """A world of a family, with what is usual in it and the practical effect that its owner declares."""
    drawn = replace(FAMILIES[family](rng), family=family)
    returns = replace(drawn, episodes=MOMENTS).draw(drawn.champion, rng).log.rewards.sum(axis=1)
    mean, scale = float(returns.mean()), max(float(returns.std()), 1e-9)
    practical = PRACTICAL * scale / max(abs(mean), 1e-9)
    return replace(drawn, mean=mean, scale=scale, declared={**drawn.declared, "practical_effect": practical})


def plain(sealed: SealedWorld, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
    """Nothing but the world."""
    return SealedLog.of(sealed.world.draw(policy, sealed.episodes, rng))


def _indifferent(rng: np.random.Generator, horizon: int, loss: float = 0.0, **changes: object) -> World:
    """Transitions do not depend on the action; every action but the first loses the same everywhere."""
    states, actions = int(rng.integers(4, 9)), int(rng.integers(2, 5))
    move = np.repeat(rng.dirichlet(np.ones(states), states)[:, None], actions, axis=1)
    mean = rng.normal(size=(states, 1)) - loss * (np.arange(actions) > 0)
    end = np.full((states, actions), _end(horizon))
    return replace(World(np.full(states, 1.0 / states), move, end, mean, horizon), **changes)  # type: ignore[arg-type]


def _end(horizon: int) -> float:
    return 1.0 / LONGEST_MEAN if horizon > LONGEST_MEAN else 0.0


def _episodes(horizon: int) -> int:
    return 700 if horizon == 1 else 500 if horizon <= LONGEST_MEAN else 400


def exact_null(rng: np.random.Generator) -> SealedWorld:
    """Neither rewards nor transitions depend on the action: every policy is worth the same."""
    horizon = int(rng.choice([1, 5, 20, 60, 200]))
    kind = str(rng.choice(NOISES[:2]))
    world = _indifferent(rng, horizon, kind=kind, noise=float(rng.uniform(0.5, 2.0)))
    return SealedWorld("", world, float(rng.uniform(0.1, 0.4)), _episodes(horizon), plain)


def rare_catastrophe(rng: np.random.Generator) -> SealedWorld:
    """The second action earns a little more and seldom costs so much that it loses; its class may be declared."""
    horizon, chance, sure = int(rng.choice([1, 3])), float(rng.uniform(0.003, 0.02)), 1.0
    loss = float(rng.choice([0.0, 0.3]))
    cost = ((1.0 - chance) * sure + loss * sure) / chance
    world = _indifferent(rng, horizon, noise=0.0)
    mean = np.zeros(world.mean.shape)
    mean[:, 1] = -loss * sure

    def happens(sealed: SealedWorld, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
        log = world.draw(policy, sealed.episodes, rng)
        tempting = (log.actions == 1) & log.active
        hit = tempting & (rng.random(tempting.shape) < chance)
        rewards = np.where(hit, -cost, np.where(tempting, sure, 0.0)) + rng.uniform(-sure, sure, hit.shape)
        return replace(SealedLog.of(replace(log, rewards=rewards)), worst=hit)

    world = replace(world, mean=mean)
    declared: dict[str, object] = {"reward_range": (-cost - sure, 2.0 * sure)}
    if rng.random() < 0.5:
        declared["worst_class"] = "broken > 0"
    return SealedWorld("", world, float(rng.uniform(0.1, 0.4)), _episodes(horizon), happens, declared)


def partial_observation(rng: np.random.Generator) -> SealedWorld:
    """The second action earns at once and may break what stays broken, unseen; a model of what is seen praises it."""
    horizon, seen, actions = int(rng.choice([4, 8, 16, 40])), int(rng.integers(3, 6)), 3
    breaks, bonus = float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.3, 0.8))
    walk = rng.dirichlet(np.ones(seen), seen)
    states = 2 * seen  # 2 o: whole, 2 o + 1: broken
    move = np.zeros((states, actions, states))
    for action in range(actions):
        damage = breaks if action == 1 else 0.0
        move[::2, action, ::2], move[::2, action, 1::2] = (1.0 - damage) * walk, damage * walk
        move[1::2, action, 1::2] = walk
    start = np.zeros(states)
    start[::2] = 1.0 / seen
    mean = np.repeat(rng.normal(size=seen), 2)[:, None] + bonus * (np.arange(actions) == 1)
    world = World(start, move, np.full((states, actions), _end(horizon)), mean, horizon, alias=np.arange(states) // 2)
    broken = np.zeros((states, actions))
    broken[1::2] = 1.0
    explore = float(rng.uniform(0.1, 0.4))
    champion = explored(np.eye(actions)[np.zeros(seen, dtype=np.int64)], explore)
    tempted = explored(np.eye(actions)[np.ones(seen, dtype=np.int64)], explore)
    harmed = replace(world, mean=-broken)
    gained = world.value(tempted) - world.value(champion)
    lost = harmed.value(champion) - harmed.value(tempted)
    harm = gained / lost * float(rng.uniform(1.3, 2.0))
    return SealedWorld("", replace(world, mean=mean - harm * broken), explore, _episodes(horizon), plain)


def drift(rng: np.random.Generator) -> SealedWorld:
    """Days share a shock, the level falls, and before it did there was more exploration: other actions look good."""
    world = _indifferent(rng, int(rng.choice([1, 4])), loss=float(rng.choice([0.0, 0.2])))
    explore, fall = 0.3, float(rng.uniform(1.0, 3.0))

    def happens(sealed: SealedWorld, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
        bare = (policy - explore / policy.shape[1]) / (1.0 - explore)
        half = sealed.episodes // 2
        log = join([world.draw(explored(bare, share), half, rng) for share in (0.6, explore)])
        day = np.arange(2 * half) // PER_DAY
        days = day[-1] + 1
        level = np.where(day < days // 2, fall, 0.0) + rng.lognormal(0.0, 0.5, days)[day]
        rewards = np.where(log.active, log.rewards + level[:, None], 0.0)
        return replace(SealedLog.of(replace(log, rewards=rewards)), moments=day * DAY + (day % PER_DAY) * 3_600.0)

    declared: dict[str, object] = {"unit": "day", "inferred": ("reward_range",)}
    return SealedWorld("", world, explore, DAYS * PER_DAY, happens, declared)


def overrides(rng: np.random.Generator) -> SealedWorld:
    """Under load, which costs and is not logged, people execute the first action whatever was requested."""
    often, cost, loss = float(rng.uniform(0.2, 0.6)), float(rng.uniform(1.0, 3.0)), float(rng.choice([0.0, 0.3]))
    world = _indifferent(rng, int(rng.choice([1, 4])), loss=(1.0 - often) * loss)

    def happens(sealed: SealedWorld, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
        log = world.draw(policy, sealed.episodes, rng)
        load = rng.random(log.actions.shape) < often
        other = log.actions > 0
        change = -cost * (load - often) + loss * other * (load - often)
        log = replace(log, rewards=np.where(log.active, log.rewards + change, 0.0))
        return replace(SealedLog.of(log), executed=np.where(load, 0, log.actions))

    declared: dict[str, object] = {"inferred": ("reward_range",)}
    return SealedWorld("", world, float(rng.uniform(0.2, 0.4)), _episodes(world.horizon), happens, declared)


def delayed_outcomes(rng: np.random.Generator) -> SealedWorld:
    """Bad outcomes of other actions than the rule's are known late: what is known at first praises those actions."""
    world = _indifferent(rng, int(rng.choice([1, 4])), loss=float(rng.choice([0.0, 0.2])))

    def happens(sealed: SealedWorld, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
        log = world.draw(policy, sealed.episodes, rng)
        bad = (log.actions > 0) & log.active & (log.rewards < np.median(log.rewards[log.active]))
        moments = np.sort(rng.uniform(0.0, SPAN, len(log)))
        delays = MATURATION * np.where(bad.any(axis=1), 0.9, 0.1)
        found = replace(SealedLog.of(log), moments=moments, known=moments + delays <= SPAN)
        last = moments + log.active.sum(axis=1) - 1.0
        return replace(found, matured=last + MATURATION <= SPAN)

    declared: dict[str, object] = {"maturation": MATURATION}
    return SealedWorld("", world, float(rng.uniform(0.2, 0.4)), 2 * _episodes(world.horizon), happens, declared)


def blocks_as_episodes(rng: np.random.Generator) -> SealedWorld:
    """Each request that takes the shared resource earns, and slows all later ones of its day; the day is an episode."""
    contexts, gain = int(rng.integers(2, 5)), float(rng.uniform(0.5, 1.5))
    harm = 2.0 * gain / (REQUESTS - 1) * float(rng.uniform(1.2, 1.8))
    states = contexts * REQUESTS  # context REQUESTS + taken so far
    context, taken = np.divmod(np.arange(states), REQUESTS)
    move = np.zeros((states, 2, states))
    for action in range(2):
        for state in range(states):
            move[state, action, np.arange(contexts) * REQUESTS + min(taken[state] + action, REQUESTS - 1)] = 1.0
    move /= contexts
    start = np.where(taken == 0, 1.0 / contexts, 0.0)
    mean = (rng.normal(size=contexts)[context] - harm * taken)[:, None] + gain * np.arange(2)
    world = World(start, move, np.zeros((states, 2)), mean, REQUESTS, noise=0.5, alias=context)
    return SealedWorld("", world, float(rng.uniform(0.2, 0.4)), 500, plain)


def interference(rng: np.random.Generator) -> SealedWorld:
    """The same days, each request declared an episode of its own and the day the unit, as if nothing were shared."""
    shared = blocks_as_episodes(rng)

    def happens(sealed: SealedWorld, policy: np.ndarray, rng: np.random.Generator) -> SealedLog:
        found = plain(sealed, policy, rng)
        return replace(found, moments=np.arange(len(found.log)) * DAY)

    return replace(shared, episodes=DAYS, happens=happens, declared={"unit": "day"}, alone=True)


def true_improvements(rng: np.random.Generator) -> SealedWorld:
    """A decision process in which the rule is one of many, and better ones are within reach."""
    horizon, states, actions = int(rng.choice([1, 4, 12, 50, 200])), int(rng.integers(4, 9)), int(rng.integers(2, 5))
    changes = {"kind": str(rng.choice(NOISES[:2])), "noise": float(rng.uniform(0.5, 3.0))}
    world = uniform_start_world(int(rng.integers(2**31)), states, actions, horizon, end=_end(horizon), **changes)
    return SealedWorld("", world, float(rng.uniform(0.1, 0.4)), _episodes(horizon), plain)


FAMILIES: dict[str, Draw] = {
    "exact null": exact_null,
    "rare catastrophe": rare_catastrophe,
    "partial observation": partial_observation,
    "drift": drift,
    "overrides": overrides,
    "delayed outcomes": delayed_outcomes,
    "interference": interference,
    "interference, days as episodes": blocks_as_episodes,
    "true improvements": true_improvements,
}
"""What is drawn, by name."""
BETTER = "true improvements"
"""The family in which something is to be found."""
