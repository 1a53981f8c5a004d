"""What a demo's agents decide and record, and how far the demos of a home have come."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy import Agent
from envs.home import Home
from envs.journal.journal import Journal
from envs.record import DecisionRecord
from envs.storage import LocalStorage
from envs.testbeds.testbed import Testbed

STATE = "demo.json"
CONCURRENT = 24
"""Episodes that are logged at the same time: what the timestamps, and so the rates, are made of."""


@dataclass(frozen=True, slots=True)
class DemoState:
    """Which demo of an agent this is. An interrupted one goes on from what its log, runs and ledger hold.

    Attributes:
        cycle: number of the demo, from 1.
        sequence: journal position at which the demo before it ended.
        run: the sweep of the demo before it, or empty.
    """

    cycle: int = 1
    sequence: int = 0
    run: str = ""

    def seed(self, first: int) -> int:
        """The seed of this demo's log and sweep, by that of the first."""
        return first + 1000 * (self.cycle - 1)


def demo_state(home: Home, agent: str) -> DemoState:
    """How far the demos of an agent have come."""
    return _states(home).get(agent, DemoState())


def finish_demo(home: Home, agent: str, run: str) -> None:
    """Remember that this demo of an agent came to its end."""
    sequence = Journal(home.journal_path).last_sequence(agent)
    following = DemoState(demo_state(home, agent).cycle + 1, sequence, run)
    agents = {name: asdict(state) for name, state in {**_states(home), agent: following}.items()}
    document = {"schema_version": 1, "agents": agents}
    LocalStorage(home.path).replace(STATE, json.dumps(document).encode())


def _states(home: Home) -> dict[str, DemoState]:
    path = home.path / STATE
    known = json.loads(path.read_text("utf-8"))["agents"] if path.exists() else {}
    return {name: DemoState(**fields) for name, fields in known.items()}


def logged_decisions(home: Home, agent: str, state: DemoState) -> int:
    """Decisions that this demo logged before it was interrupted: all of them or none."""
    records = Journal(home.journal_path).read(agent, after=state.sequence)
    return sum((record.episode_id or "").startswith(f"demo-{state.cycle}-") for _, record in records)


def log_decisions(home: Home, testbed: Testbed, state: DemoState, seed: int, decisions: int) -> int:
    """Let an agent run its testbed for at least so many decisions; one transaction holds them all."""
    name, declared = testbed.specification.name, testbed.specification
    agent = Agent(
        name,
        policy=testbed.rule,
        explore=declared.explore,
        version=declared.rule_version,
        home=home,
        seed=state.seed(seed),
    )
    rng = np.random.default_rng([state.seed(seed), 1])
    records: list[DecisionRecord] = []
    episodes = 0
    while len(records) < decisions:  # episodes that terminate leave some to be made by further ones
        count = -(-(decisions - len(records)) // declared.horizon)
        records += _episodes(agent, testbed, state, episodes, count, rng)
        episodes += count
    with LearningPipeline(home) as pipeline:
        pipeline.record_many(records)
    return len(records)


def _episodes(
    agent: Agent, testbed: Testbed, state: DemoState, first: int, count: int, rng: np.random.Generator
) -> list[DecisionRecord]:
    specification = testbed.specification
    observation, actions = specification.observation, specification.actions
    start = datetime(2020, 1, 6, tzinfo=UTC) + timedelta(days=30 * (state.cycle - 1))
    world, tenants = testbed.draw(count, rng)
    rows, allowed, records = world.observe(), world.allowed(), []
    for step in range(specification.horizon):
        active = np.flatnonzero(world.active).tolist()
        chosen = np.zeros(count, dtype=np.int64)  # what an ended episode is told changes nothing
        decided = []
        for episode in active:
            number = first + episode
            decision = agent.decide(
                observation.value(rows[episode]),
                allowed_actions=None
                if allowed[episode].all()
                else [action for action, possible in zip(actions, allowed[episode], strict=True) if possible],
                episode_id=f"demo-{state.cycle}-{number:05d}",
                tenant=tenants[episode],
                timestamp=start + timedelta(hours=number // CONCURRENT, minutes=testbed.interval * step),
            )
            chosen[episode] = actions.index(decision.action)
            decided.append(decision)
        outcome = world.step(chosen)
        rows, allowed = world.observe(), world.allowed()
        for episode, decision in zip(active, decided, strict=True):
            cut = step == specification.horizon - 1 and bool(world.active[episode])
            records.append(
                agent.completed(
                    decision,
                    {name: float(values[episode]) for name, values in outcome.items()},
                    next_observation=observation.value(rows[episode]) if cut else None,
                    terminated=not world.active[episode],
                    truncated=cut,
                )
            )
    return records
