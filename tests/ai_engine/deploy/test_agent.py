"""The agent: exact propensities, limits before the draw, the champion, and the record it writes."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents import ACTIONS, OBSERVATION, improved, rule, specification, version_zero, whole

from ai_engine.continuous_learning import LearningPipeline
from ai_engine.deploy import Agent, Policy, Registry
from envs.build import build_dataset
from envs.errors import ArtefactError, HomeError, RegistryError, SpecificationError
from envs.home import Home
from envs.journal.journal import Journal
from envs.record import DecisionRecord

CALM, BUSY = {"load": 0.4, "queue": 3.0}, {"load": 0.9, "queue": 12.0}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.create(tmp_path / "home")
    home.declare(specification(horizon=3))
    return home


def logged(home: Home, name: str = "scaling") -> list[DecisionRecord]:
    return [record for _, record in Journal(home.journal_path).read(name)]


def override(home: Home, policy: Policy) -> str:
    registry = Registry(home)
    version = registry.add_version(policy)
    registry.override("scaling", version, "test")
    return version


def test_a_bare_rule_decides_with_its_floor_and_becomes_version_zero(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    counts: Counter[Any] = Counter()
    for _ in range(4000):
        decision = agent.decide(BUSY)
        counts[decision.action] += 1
        assert decision.propensity == decision.probabilities[decision.action]
    expected = {"down": 0.1 / 3, "hold": 0.1 / 3, "up": 0.9 + 0.1 / 3}
    assert decision.probabilities == pytest.approx(expected)
    assert sum((counts[a] - 4000 * p) ** 2 / (4000 * p) for a, p in expected.items()) < 13.82
    assert decision.policy_version == "rule-1" and decision.root_probabilities == [0.0, 0.0, 1.0]
    registry = Registry(home)
    assert registry.champion("scaling") == "0" and registry.version("scaling").explore == 0.1


def test_the_record_says_all_that_was_known(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    with agent:
        for step in range(3):
            decision = agent.decide(BUSY, allowed_actions=["up", "hold"], episode_id="e1", tenant="t")
            agent.record(
                decision, {"cost": 1.5}, reward=-1.5, truncated=step == 2, next_observation=CALM if step == 2 else None
            )
    first, _, last = logged(home)
    assert (first.episode_id, first.step, last.step, first.tenant, first.mode) == ("e1", 0, 2, "t", "live")
    assert first.action_probabilities == pytest.approx({"down": 0.0, "hold": 0.05, "up": 0.95})
    assert first.propensity == first.action_probabilities[first.action]  # type: ignore[index,call-overload]
    assert first.allowed_actions == ["hold", "up"] and first.policy_version == "rule-1"
    assert first.metadata == {"root_probabilities": [0.0, 0.0, 1.0]}
    assert last.metadata == {"root_probabilities": [0, 0, 1], "end_root_probabilities": [0, 1, 0]}
    assert last.truncated and last.next_observation == CALM and first.reward == -1.5 and first.timestamp


def test_a_logged_episode_becomes_a_dataset_with_known_base(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home, seed=1)
    override(home, improved())
    agent.refresh()
    source, records = random.Random(0), []
    for episode in range(20):
        for step in range(3):
            decision = agent.decide({"load": source.random(), "queue": 1}, episode_id=f"e{episode}")
            records.append(agent.completed(decision, {"cost": 1}, reward=1.0, terminated=step == 2))
    LearningPipeline(home).record_many(records)
    dataset, _ = build_dataset(home, "scaling")
    policy = Registry(home).version("scaling")
    again = policy.probabilities(
        dataset.observations[dataset.rows],
        base=dataset.root_probabilities[dataset.rows],
        allowed=dataset.allowed[dataset.rows],
    )
    assert np.allclose(again, dataset.action_probabilities, atol=1e-12), "the log knows the champion exactly"
    assert set(dataset.policy_versions) == {"1"}


def test_steps_are_counted_per_tenant_and_episode_and_forgotten_at_the_end(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    steps = [
        agent.decide(CALM, episode_id=e, tenant=t).step for e, t in [("a", "x"), ("a", "x"), ("b", "x"), ("a", "y")]
    ]
    assert steps == [0, 1, 0, 0]
    agent.completed(agent.decide(CALM, episode_id="a", tenant="x"), terminated=True)
    assert agent.decide(CALM, episode_id="a", tenant="x").step == 0
    single = agent.completed(agent.decide(CALM), {"cost": 1})
    assert single.is_single and single.step == 0


def test_what_the_caller_changes_after_deciding_is_not_logged(home: Home) -> None:
    agent, state = Agent("scaling", policy=rule, home=home), dict(CALM)
    decision = agent.decide(state)
    state["load"] = 1.0
    assert agent.completed(decision).observation == CALM


def test_the_same_seed_gives_the_same_decisions_and_event_ids(home: Home) -> None:
    def run(seed: int | None) -> list[tuple[Any, str]]:
        agent = Agent("scaling", policy=rule, home=home, seed=seed)
        decisions = [agent.decide(CALM, episode_id="e") for _ in range(40)]
        return [(decision.action, decision.event_id) for decision in decisions]

    assert run(3) == run(3) != run(4)
    assert run(None) != run(None)


def test_a_promoted_champion_is_taken_up_and_a_rollback_too(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    version = override(home, improved())
    assert agent.decide(CALM).policy_version == "rule-1", "not looked at before its time"
    agent._next_check = 0.0
    decision = agent.decide(CALM)
    champion = Registry(home).version("scaling", base=rule)
    row = OBSERVATION.row(CALM)[None]
    assert decision.policy_version == version
    assert list(decision.probabilities.values()) == pytest.approx(champion.probabilities(row)[0].tolist())
    assert decision.root_probabilities == [0.0, 1.0, 0.0]
    Registry(home).rollback("scaling")
    assert agent.refresh() == "0" and agent.decide(CALM).policy_version == "rule-1"
    assert Agent("scaling", policy=rule, home=home).policy.version == "0"


def test_a_champion_on_another_rule_is_refused_and_rollback_leads_out(home: Home) -> None:
    Agent("scaling", policy=rule, home=home)
    override(home, improved())
    home.declare(specification(horizon=3, rule_version="rule-2"))
    with pytest.raises(ArtefactError, match=r"stands on the rule 'rule-1', the agent has 'rule-2'.*scaling@rule"):
        Agent("scaling", policy=rule, home=home)
    Registry(home).rollback("scaling", "rule")
    agent = Agent("scaling", policy=rule, home=home)
    assert agent.decide(CALM).policy_version == "rule-2"
    entry = Registry(home).history("scaling")[-1]
    assert entry.kind == "version0" and "rule-2" in entry.reason
    assert Registry(home).version("scaling", "rule").base.version == "rule-2"  # type: ignore[union-attr]
    Agent("scaling", policy=rule, home=home)
    assert Registry(home).history("scaling")[-1] == entry, "entered once"


def test_a_changed_floor_is_a_new_version_zero(home: Home) -> None:
    Agent("scaling", policy=rule, home=home)
    home.declare(specification(horizon=3, explore=0.3))
    agent = Agent("scaling", policy=rule, home=home)
    assert agent.decide(CALM).probabilities["up"] == pytest.approx(0.1)
    assert Registry(home).version("scaling").explore == 0.3


def test_a_champion_that_needs_no_rule_decides_without_one(home: Home) -> None:
    registry = Registry(home)
    registry.initialise(version_zero())
    override(home, whole(action=0))
    decision = Agent("scaling", home=home).decide(BUSY)
    assert decision.probabilities == pytest.approx({"down": 0.9 + 0.1 / 3, "hold": 0.1 / 3, "up": 0.1 / 3})
    assert decision.root_probabilities is None
    override(home, improved())
    with pytest.raises(ArtefactError, match=r"stands on the rule 'rule-1'; give it"):
        Agent("scaling", home=home)


def test_a_running_agent_survives_a_champion_that_it_cannot_use(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    version = override(home, improved())
    path = Registry(home).path("scaling", version)
    for file in (path, home.models_path / "scaling_model.json"):
        file.write_bytes(b"{}")
    agent._next_check = 0.0
    with pytest.warns(RuntimeWarning, match="stays with its policy"):
        assert agent.decide(CALM).policy_version == "rule-1"
    with pytest.raises(ArtefactError):
        agent.refresh()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agent.decide(CALM)


def test_a_ledger_that_cannot_be_read_stops_no_running_agent(home: Home) -> None:
    agent = Agent("scaling", policy=rule, home=home)
    (home.models_path / "ledger" / "scaling" / "00000002.json").mkdir()  # any error of the system; a permission, say
    agent._next_check = 0.0
    with pytest.warns(RuntimeWarning, match=r"stays with its policy: .*2\.json: cannot be read .*; check the disk"):
        assert agent.decide(CALM).policy_version == "rule-1"
    with pytest.raises(RegistryError, match="check the disk and its permissions"):
        Agent("scaling", policy=rule, home=home)


def test_a_champion_of_another_declaration_is_refused(home: Home) -> None:
    Agent("scaling", policy=rule, home=home)
    override(home, improved())
    home.declare(specification(horizon=3, actions=("down", "up", "hold")))
    with pytest.raises(ArtefactError, match="declared are"):
        Agent("scaling", policy=rule, home=home)


def test_an_undeclared_agent_is_declared_by_its_first_decision(tmp_path: Path) -> None:
    home = Home.create(tmp_path)
    agent = Agent("tiny", policy=lambda _: 1, actions=[0, 1, 2], explore=0.3, version="mine-4", home=tmp_path)
    with pytest.raises(SpecificationError, match="not declared yet"):
        agent.specification  # noqa: B018
    decision = agent.decide([1, 2.5])
    declared = home.specification("tiny")
    assert declared == agent.specification and declared.actions == (0, 1, 2)
    assert (declared.explore, declared.rule_version, declared.observation.kind) == (0.3, "mine-4", "vector")
    assert "observation" in declared.inferred
    agent.record(decision, reward=1.0)
    agent.record(agent.decide([-5.0, 1e6]), reward=0.0)
    assert [record.observation for record in logged(home, "tiny")] == [[1, 2.5], [-5.0, 1e6]]
    assert Registry(home).champion("tiny") == "0"
    numbers = Agent("count", policy=lambda _: "a", actions=["a", "b"], home=home)
    assert [numbers.decide(state).policy_version for state in (3, 900, -1)] == ["rule-1"] * 3


def test_arguments_that_contradict_the_declaration_are_errors(home: Home) -> None:
    for arguments in ({"actions": ["up", "down"]}, {"explore": 0.2}, {"version": "rule-9"}, {"horizon": 9}):
        with pytest.raises(SpecificationError, match=f"{next(iter(arguments))} is .*declared is"):
            Agent("scaling", policy=rule, home=home, **arguments)  # type: ignore[arg-type]
    with pytest.raises(SpecificationError, match="neither a rule nor a champion"):
        Agent("scaling", home=home)
    Agent("scaling", policy=rule, home=home, actions=list(ACTIONS), explore=0.1, version="rule-1")
    with pytest.raises(SpecificationError, match=r"actions is not given.*give actions="):
        Agent("new", policy=rule, home=home)
    with pytest.raises(SpecificationError, match="policy is not given"):
        Agent("new", actions=["a"], home=home)
    with pytest.raises(HomeError, match="retrainer init"):
        Agent("scaling", policy=rule, home=home.path / "elsewhere")


def test_the_declared_rule_is_imported(home: Home) -> None:
    (home.path / "my_rules_for_agent.py").write_text("def scale(observation):\n    return 'down'\n")
    home.declare(specification(horizon=3, rule="my_rules_for_agent:scale"))
    assert Agent("scaling", home=home).decide(CALM).root_probabilities == [1.0, 0.0, 0.0]


def test_acting_imports_no_training_library(home: Home) -> None:
    code = f"""
import sys
from ai_engine.deploy import Agent, Decision, Policy, Registry, load_policy
agent = Agent("scaling", policy=lambda observation: "up", home={str(home.path)!r})
agent.record(agent.decide({CALM!r}), {{"cost": 1}}, reward=0.0)
load_policy({str(home.models_path / "scaling_model.json")!r}, base=lambda observation: "up").act({CALM!r})
heavy = sorted({{"ray", "torch", "pyarrow", "deltalake", "pandas", "scipy", "gymnasium"}} & set(sys.modules))
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[3])
