"""An agent that was restarted within an episode goes on where its log ends: steps, and what was before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents import OBSERVATION, rule, specification

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy import Agent
from ai_engine.deploy.episodes import last_decisions
from algorithms.policy import Policy
from envs.build import build_dataset
from envs.errors import RecordError
from envs.home import Home
from envs.journal.journal import Journal
from envs.log.sealing import seal
from envs.observation import with_history

CALM = {"load": 0.4, "queue": 3.0}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home")
    home.declare(specification(horizon=9))
    return home


def decided(agent: Agent, episode: str = "e", **end: Any) -> int:
    decision = agent.decide(CALM, episode_id=episode, tenant="t")
    agent.record(decision, {"cost": 1.0}, reward=0.0, **end)
    return decision.step


def test_a_restarted_agent_numbers_on(home: Home) -> None:
    for start in (0, 2, 4):
        with Agent("scaling", policy=rule, home=home) as agent:
            assert [decided(agent), decided(agent), decided(agent, f"other {start}")] == [start, start + 1, 0]
    with Agent("scaling", policy=rule, home=home) as agent:
        assert decided(agent, terminated=True) == 6
    dataset, _ = build_dataset(home, "scaling")
    assert len(dataset.actions) == 7


@pytest.mark.parametrize("keep", [0, 1])
def test_what_was_sealed_counts(home: Home, keep: int) -> None:
    with Agent("scaling", policy=rule, home=home) as agent:
        for _ in range(3):
            decided(agent)
        decided(agent, "another")
        decided(agent, "ended", truncated=True, next_observation=CALM)
        decided(agent)
    seal(home, keep=keep)
    again = Agent("scaling", policy=rule, home=home)
    steps = [again.decide(CALM, episode_id=episode, tenant="t").step for episode in ("e", "another", "new")]
    assert steps == [4, 1, 0]
    with pytest.raises(RecordError, match="'ended' ended at step 0"):
        again.decide(CALM, episode_id="ended", tenant="t")
    found = last_decisions(Journal(home.journal_path), "scaling", "t", "e", 3)
    assert [record.step for record in found] == [1, 2, 3], "of the table and of the journal"


def test_an_episode_that_has_ended_does_not_go_on(home: Home) -> None:
    with Agent("scaling", policy=rule, home=home) as agent:
        decided(agent)
        decided(agent, terminated=True)
        with pytest.raises(RecordError, match="agent scaling: episode_id: 'e' ended at step 1; give what comes after"):
            agent.decide(CALM, episode_id="e", tenant="t")  # before the action: it could not be recorded
    with Agent("scaling", policy=rule, home=home) as agent, pytest.raises(RecordError, match="ended at step 1"):
        decided(agent)


def test_a_seeded_run_is_repeated(home: Home) -> None:
    for _ in range(2):
        with Agent("scaling", policy=rule, home=home, seed=1) as agent:
            decision = agent.decide(CALM, episode_id="e", timestamp="2026-01-01T00:00:00Z")
            agent.record(decision, reward=0.0, terminated=True)
    assert Journal(home.journal_path).counts() == {"scaling": 1}


def test_a_buffered_log_counts_once_it_is_written(home: Home) -> None:
    for start in (0, 3):
        agent = Agent("scaling", policy=rule, home=home)
        with LearningPipeline(home, durability="buffered", flush_interval=60) as pipeline:
            for step in range(start, start + 3):
                decision = agent.decide(CALM, episode_id="e")
                assert decision.step == step, "what waits in the buffer is no matter to the agent that decided it"
                pipeline.record(agent.completed(decision))
    with Agent("scaling", policy=rule, home=home) as agent:
        assert agent.decide(CALM, episode_id="e", step=8).step == 8, "two were lost"
        assert agent.decide(CALM, episode_id="e").step == 9


def test_a_step_may_be_given(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    assert [agent.decide(CALM, episode_id="e", step=step).step for step in (None, 5, None, 2, None)] == [0, 5, 6, 2, 3]
    for step, episode in ((1, None), (-1, "e"), ("1", "e"), (True, "e")):
        with pytest.raises(RecordError, match=r"step: .* is no step of an episode; give episode_id and 0, 1, 2"):
            agent.decide(CALM, episode_id=episode, step=step)  # type: ignore[arg-type]


def test_only_an_unknown_episode_is_looked_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(journal: Journal, agent: str, tenant: str, episode_id: str, count: int) -> list[Any]:
        asked.append(episode_id)
        return last_decisions(journal, agent, tenant, episode_id, count)

    monkeypatch.setattr("ai_engine.deploy.episodes.last_decisions", noted)
    with Agent("scaling", policy=rule, home=home) as agent:
        for _ in range(5):
            decided(agent, "a")
            decided(agent, "b")
        agent.decide(CALM)
        agent.decide(CALM, episode_id="c", step=0)
    assert asked == ["a", "b"]


def test_the_look_up_is_by_an_index(home: Home) -> None:
    with Agent("scaling", policy=rule, home=home) as agent:
        decided(agent)
    statements: list[str] = []

    def explained(connection: Any) -> list[str]:
        steps = [connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in statements]
        return [row[3] for plan in steps for row in plan]

    journal = Journal(home.journal_path)
    journal.file.run(lambda connection: connection.set_trace_callback(statements.append))
    assert len(last_decisions(journal, "scaling", "t", "e")) == 1
    journal.file.run(lambda connection: connection.set_trace_callback(None))
    statements[:] = [text for text in statements if text.startswith("SELECT")]
    plan = journal.file.run(explained)
    assert "SEARCH events USING INDEX places (agent=? AND episode_id=?)" in plan
    assert not any(line.startswith("SCAN") for line in plan), plan  # whether there are segments, their last one says


def test_looking_up_where_there_is_no_log_creates_none(home: Home) -> None:
    assert Agent("scaling", policy=rule, home=home).decide(CALM, episode_id="e").step == 0
    assert not home.journal_path.exists()


@pytest.fixture
def seen(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What policies are shown, of an agent that looks two decisions back."""
    actions = specification().actions
    home.declare(specification(observation=with_history(OBSERVATION, actions, 2), horizon=6, explore=0.5))
    rows: list[np.ndarray] = []
    decide = Policy.decide

    def noted(self: Policy, row: np.ndarray, *arguments: Any, **keywords: Any) -> Any:
        rows.append(row.copy())
        return decide(self, row, *arguments, **keywords)

    monkeypatch.setattr(Policy, "decide", noted)
    return rows


def test_what_was_before_is_taken_from_the_log(home: Home, seen: list[np.ndarray]) -> None:
    for step in range(6):
        if step == 3:
            seal(home, keep=1)
        with Agent("scaling", policy=rule, home=home, seed=step) as agent:  # a new process for every decision
            decision = agent.decide({"load": step / 10, "queue": step}, episode_id="e")
            agent.record(decision, reward=1.0, terminated=step == 5)
    dataset, _ = build_dataset(home, "scaling")
    np.testing.assert_array_equal(np.array(seen), dataset.observations[:6])


def test_what_was_before_is_what_others_decided_too(home: Home, seen: list[np.ndarray]) -> None:
    """Two processes take turns in one episode, and say the step: a row of one's own past alone is another state."""
    with Agent("scaling", policy=rule, home=home) as one, Agent("scaling", policy=rule, home=home) as other:
        for step in range(6):
            agent = (one, other)[step % 2]
            decision = agent.decide({"load": step / 10, "queue": step}, episode_id="e", step=step)
            agent.record(decision, reward=1.0, terminated=step == 5)
        dataset, _ = build_dataset(home, "scaling")
        np.testing.assert_array_equal(np.array(seen), dataset.observations[:6])
        one.record(one.decide(CALM, episode_id="f", step=0), reward=1.0)
        one.decide(CALM, episode_id="f", step=2)
    assert np.isnan(seen[-1][2:]).all(), "step 1 is not on the disk: nothing is put in its place"
