"""The same life through files and the public API, Ray Tune included; the promoted artefact writes the next log."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import ai_engine
from ai_engine.deploy import load_policy
from ai_engine.deploy.registry import Registry
from benchmarks.sealed.families import SealedWorld, rule
from benchmarks.sealed.log import write_jsonl
from benchmarks.sealed.records import PublicRecord
from envs.errors import DataError
from envs.home import Home
from envs.observation import ObservationField, ObservationSpecification
from envs.specification import AgentSpecification
from tune_configs.gate.request import PROMOTE

AGENT = "sealed"
BEGIN = np.datetime64("2024-01-01T00:00:00", "ms")
BETWEEN = np.timedelta64(400, "D")
TRIALS = 4


def public_life(sealed: SealedWorld, rng: np.random.Generator, cycles: int) -> list[PublicRecord]:
    """Some cycles of one life; the pipeline sees files, and a declaration in ``retrainer.toml``."""
    champion = sealed.champion
    records = []
    with tempfile.TemporaryDirectory() as folder:
        home = Home.create(Path(folder) / "home")
        home.declare(_declaration(sealed))
        for number in range(cycles):
            path = Path(folder) / f"{number}.jsonl"
            drawn = sealed.draw(champion, rng)
            write_jsonl(
                path, drawn, name=f"c{number}", version=f"{number}", begin=BEGIN + number * BETWEEN
            )  # fmt: skip
            ai_engine.import_log(AGENT, [path], home=home)
            decision, alpha, gain = "refused", 0.0, 0.0
            try:
                ai_engine.tune(AGENT, trials=TRIALS, algorithms=("tabular_q",), seed=number, home=home)
                answer = ai_engine.gate(AGENT, home=home)
                decision, alpha = answer.decision, answer.alpha
            except DataError:  # grade D: nothing can be learned, so nothing is promoted
                answer = None
            if answer is not None and decision == PROMOTE:
                ai_engine.promote(answer.version, home=home)
                promoted = _table(home, sealed)
                gain, champion = sealed.gain(promoted, champion), promoted
            records.append(PublicRecord(sealed.family, number, decision, alpha, gain))
    return records


def _declaration(sealed: SealedWorld) -> AgentSpecification:
    states, actions = sealed.rule.shape
    declared = {"reward_range": sealed.world.reward_range(), "unit": "episode", **sealed.declared}
    return AgentSpecification(
        name=AGENT,
        observation=ObservationSpecification("int", (ObservationField("state", "integer", 0, states - 1),)),
        actions=tuple(f"a{index}" for index in range(actions)),
        reward="earned",
        horizon=sealed.horizon,
        discount=sealed.world.discount,
        explore=sealed.explore,
        rule=f"{rule.__module__}:{rule.__name__}",
        rule_version="rule-1",
        **declared,  # type: ignore[arg-type]
    )


def _table(home: Home, sealed: SealedWorld) -> np.ndarray:
    """The champion's artefact as a policy over observations (O, A), its floor included."""
    registry = Registry(home)
    policy = load_policy(registry.path(AGENT, registry.champion(AGENT)), base=rule)
    found = np.array([list(policy.act(state).probabilities.values()) for state in range(len(sealed.rule))])
    return found
