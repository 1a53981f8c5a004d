"""Logs in which no variant is better than the champion, each with one thing that fools a careless test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from benchmarks.trust.worlds import Log, World, dataset_of, explored, join, uniform_start_world
from envs.build import dataset_from_records
from envs.dataset import Dataset
from envs.record import DecisionRecord

STATES, ACTIONS, HORIZON, EXPLORE = 12, 3, 4, 0.3
"""Many states, so that many variants are many different ones: the best of 64 is then well above all of them."""
FEW_STATES = 4
"""Of the world that is searched for a model's mistake."""
EPISODES = 1_000
STEPS = (0.1, 0.25, 0.5)
"""Sizes of a variant's step towards a random rule."""
CHANCE, COST = 0.02, 10.0
"""Of the rare catastrophe."""
LARGEST_SHOCK, LARGEST_WAIT = 8.0, 10.0
"""Where shocks and waiting times are cut, so that a range can be declared: one that is never filled lets the tail
condition refuse everything, and a gate that promotes nothing promotes nothing false."""
BEGIN, LOGGED, MATURATION = np.datetime64("2026-01-01T00:00:00"), 20 * 86_400.0, 5 * 86_400.0
"""When the log begins, how long it is, and after how long an outcome is known; in seconds."""


@dataclass(frozen=True, eq=False)
class NullLog:
    """One log, its champion (O, A) and V variants (V, O, A) of which none is truly better."""

    dataset: Dataset
    champion: np.ndarray
    variants: np.ndarray


Draw = Callable[[np.random.Generator, int], NullLog]


def random_variants(rng: np.random.Generator, count: int, champion: np.ndarray, explore: float = EXPLORE) -> np.ndarray:
    """Steps from the champion towards random rules with its floor, (V, O, A)."""
    states, actions = champion.shape
    rules = np.eye(actions)[rng.integers(actions, size=(count, states))]
    aims = (1.0 - explore) * rules + explore / actions
    steps = rng.choice(STEPS, size=(count, 1, 1))
    return (1.0 - steps) * champion + steps * aims


@cache
def indifferent_world(alias: bool = False) -> World:
    """Neither rewards nor transitions depend on the action, so every policy has the same value; costs are skewed.

    With ``alias`` pairs of states look the same, and which of them it is lasts: the log is not Markov.
    """
    rng = np.random.default_rng(3)
    move = rng.dirichlet(np.full(STATES, 0.5), STATES)
    if alias:
        move = 0.9 * np.eye(STATES) + 0.1 * move
    mean = rng.normal(size=STATES)
    shape = (STATES, ACTIONS)
    return World(
        start=np.full(STATES, 1.0 / STATES),
        move=np.repeat(move[:, None], ACTIONS, axis=1),
        end=np.full(shape, 0.05),
        mean=np.repeat(mean[:, None], ACTIONS, axis=1),
        horizon=HORIZON,
        kind="skewed",
        alias=np.arange(STATES) // 2 if alias else None,
    )


def rule_of(world: World) -> np.ndarray:
    """A fixed rule over observations, (O, A)."""
    return np.eye(world.mean.shape[1])[np.resize([0, 1, 2, 0], world.observed_count)]


def exact_null(rng: np.random.Generator, count: int) -> NullLog:
    """Every policy has the same value."""
    world = indifferent_world()
    champion = explored(rule_of(world), EXPLORE)
    dataset = dataset_of(world.draw(champion, EPISODES, rng), world, explore=EXPLORE)
    return NullLog(dataset, champion, random_variants(rng, count, champion))


def rare_catastrophe(rng: np.random.Generator, count: int, horizon: int = 1) -> NullLog:
    """Action 1 earns a little more, and seldom costs so much that nothing is gained; its class is declared."""
    nothing = np.zeros((STATES, ACTIONS))
    world = replace(indifferent_world(), horizon=horizon, mean=nothing, noise=0.0, end=nothing)
    champion = explored(np.eye(ACTIONS)[np.zeros(STATES, dtype=int)], EXPLORE)
    log = world.draw(champion, EPISODES, rng)
    tempting = (log.actions == 1) & log.active
    hit = tempting & (rng.random(tempting.shape) < CHANCE)
    sure = CHANCE * COST / (1.0 - CHANCE)
    rewards = np.where(hit, -COST, np.where(tempting, sure, 0.0)) + 0.2 * sure * rng.uniform(-1, 1, tempting.shape)
    log = replace(log, rewards=np.where(log.active, rewards, 0.0))
    bounds = (-COST - sure, 2.0 * sure)
    dataset = dataset_of(log, world, explore=EXPLORE, worst=hit, reward_range=bounds, worst_class="broken > 0")
    aim = explored(np.eye(ACTIONS)[np.ones(STATES, dtype=int)], EXPLORE)
    somewhere = rng.random((count, STATES, 1)) < 0.7
    steps = rng.choice(STEPS, size=(count, 1, 1)) * somewhere
    return NullLog(dataset, champion, (1.0 - steps) * champion + steps * aim)


def drift(rng: np.random.Generator, count: int) -> NullLog:
    """Days share a shock, the level falls, and the exploration changed when it did; the unit is the day."""
    world = indifferent_world()
    rule, days, each = rule_of(world), 600, 2
    champion = explored(rule, EXPLORE)
    halves = [world.draw(explored(rule, share), days * each // 2, rng) for share in (0.6, EXPLORE)]
    log = join(halves)
    day = np.arange(days * each) // each
    shocks = np.minimum(rng.lognormal(0.0, 0.5, days), LARGEST_SHOCK)
    level = np.where(day < days // 2, 2.0, 0.0) - day / days + shocks[day]
    low, high = world.reward_range()
    log = replace(log, rewards=np.where(log.active, log.rewards + level[:, None], 0.0))
    turn = np.arange(days) % 20
    splits = np.where(turn < 10, 0, np.where(turn < 13, 1, 2)).astype(np.int8)[rng.permutation(days)][day]
    dataset = dataset_of(
        log, world, explore=EXPLORE, units=day, splits=splits, reward_range=(low - 1.0, high + 2.0 + LARGEST_SHOCK)
    )
    return NullLog(dataset, champion, random_variants(rng, count, champion))


def aliased_states(rng: np.random.Generator, count: int) -> NullLog:
    """A hidden, lasting state decides what is earned: every model of the log is wrong, and nothing is better."""
    world = indifferent_world(alias=True)
    champion = explored(rule_of(world), EXPLORE)
    dataset = dataset_of(world.draw(champion, EPISODES, rng), world, explore=EXPLORE)
    return NullLog(dataset, champion, random_variants(rng, count, champion))


@cache
def deceptive_world() -> tuple[World, np.ndarray]:
    """A world of aliased states in which the rule that its model calls best (O, A) is truly worse than the champion."""
    for seed in range(1_000):
        hidden = uniform_start_world(seed, FEW_STATES, ACTIONS, HORIZON, alias=np.arange(FEW_STATES) // 2)
        champion = explored(rule_of(hidden), EXPLORE)
        values = _aliased_values(hidden, champion)
        best = np.eye(ACTIONS)[values.argmax(axis=1)]
        if all(
            hidden.value((1 - step) * champion + step * explored(best, EXPLORE)) < hidden.value(champion)
            for step in STEPS
        ):
            return hidden, best
    raise AssertionError("no deceptive world")


def _aliased_values(world: World, champion: np.ndarray) -> np.ndarray:
    """Q (O, A) of the champion by a model that takes the observation for the state, from the champion's own visits."""
    assert world.alias is not None
    visits, state = np.zeros(len(world.start)), world.start
    policy = world.on_states(champion)
    for _ in range(world.horizon):
        visits = visits + state
        state = np.einsum("s,sa,sat->t", state, policy, world.move)
    seen = np.eye(world.observed_count)[world.alias]
    share = (visits[:, None] * seen) / (visits[:, None] * seen).sum(axis=0)
    mean = np.einsum("so,sa->oa", share, world.mean)
    move = np.einsum("so,sat,tp->oap", share, world.move, seen)
    values = np.zeros_like(mean)
    for _ in range(world.horizon):
        values = mean + move @ (champion * values).sum(axis=1)
    return values


def deceptive_model(rng: np.random.Generator, count: int) -> NullLog:
    """Aliased states again: the variants that the model praises are truly worse, the others no better."""
    world, praised = deceptive_world()
    champion = explored(rule_of(world), EXPLORE)
    aims = [(1 - step) * champion + step * explored(praised, EXPLORE) for step in STEPS]
    worth = world.value(champion)
    while len(aims) < count:
        aims += [each for each in random_variants(rng, 16, champion) if world.value(each) <= worth]
    dataset = dataset_of(world.draw(champion, EPISODES, rng), world, explore=EXPLORE)
    return NullLog(dataset, champion, np.stack(aims[:count]))


def overrides(rng: np.random.Generator, count: int) -> NullLog:
    """Under load people execute another action than the requested one, and load costs: through the records."""
    states = rng.integers(STATES, size=EPISODES)
    champion = explored(rule_of(indifferent_world()), EXPLORE)
    chosen = (rng.random((EPISODES, 1)) > champion[states].cumsum(axis=1)).sum(axis=1).clip(max=ACTIONS - 1)
    load = rng.random(EPISODES) < 0.4
    overridden = load & (chosen != 0)
    rewards = np.where(load, -2.0, 0.0) - np.minimum(rng.exponential(size=EPISODES), LARGEST_WAIT)
    moments = np.arange(EPISODES) * 60.0
    executed = np.where(overridden, 0, chosen)
    return _from_records(rng, count, champion, states, chosen, rewards, moments, executed=executed)


def delayed_outcomes(rng: np.random.Generator, count: int) -> NullLog:
    """Bad outcomes of explored actions arrive late; what has not matured is in no dataset: through the records."""
    states = rng.integers(STATES, size=EPISODES)
    champion = explored(rule_of(indifferent_world()), EXPLORE)
    chosen = (rng.random((EPISODES, 1)) > champion[states].cumsum(axis=1)).sum(axis=1).clip(max=ACTIONS - 1)
    rewards = -np.minimum(rng.exponential(size=EPISODES), LARGEST_WAIT)
    late = (champion[states, chosen] < 0.5) & (rewards < -1.0)
    moments = np.sort(rng.uniform(0.0, LOGGED, EPISODES))
    arrival = moments + MATURATION * np.where(late, 0.9, 0.1)
    known = np.where(arrival <= LOGGED, rewards, np.nan)
    return _from_records(rng, count, champion, states, chosen, known, moments, maturation=MATURATION)


def _from_records(
    rng: np.random.Generator,
    count: int,
    champion: np.ndarray,
    states: np.ndarray,
    chosen: np.ndarray,
    rewards: np.ndarray,
    moments: np.ndarray,
    *,
    executed: np.ndarray | None = None,
    maturation: float = 0.0,
) -> NullLog:
    """Decisions without episodes as the product reads them, splits by a key drawn anew; NaN: not known yet."""
    world = replace(indifferent_world(), horizon=1)
    shape = (len(states), 1)
    log = Log(
        np.stack([states, states], axis=1), chosen[:, None], rewards[:, None], np.ones(shape, dtype=bool),
        np.ones(len(states), dtype=bool), champion[states][:, None],
    )  # fmt: skip
    bounds = (-2.0 - LARGEST_WAIT, 0.0)
    declared = dataset_of(log, world, explore=EXPLORE, reward_range=bounds, maturation=maturation).specification
    actions = declared.actions
    starts = BEGIN + (moments * 1e3).astype("timedelta64[ms]")
    now = float(BEGIN.astype("datetime64[s]").astype(np.int64)) + LOGGED
    records = [
        DecisionRecord(
            event_id=f"e{row}",
            episode_id=f"e{row}",
            step=0,
            agent=declared.name,
            observation=int(states[row]),
            action=actions[chosen[row]],
            executed_action=None if executed is None else actions[executed[row]],
            reward=float(rewards[row]) if np.isfinite(rewards[row]) else None,
            propensity=float(champion[states[row], chosen[row]]),
            action_probabilities=dict(zip(actions, champion[states[row]].tolist(), strict=True)),
            timestamp=f"{starts[row]}Z",
            terminated=True,
        )
        for row in range(len(states))
    ]
    dataset, _ = dataset_from_records(declared, enumerate(records, start=1), rng.bytes(32), now=now)
    # What follows an end is never looked behind, but tables of policies have a row for it.
    dataset = replace(dataset, observations=np.nan_to_num(dataset.observations))
    return NullLog(dataset, champion, random_variants(rng, count, champion))
