"""The benchmarks' fast choice gives the judge's numbers, and their null worlds are null."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.trust import null_logs, retraining_lives
from benchmarks.trust.gate_chain import gate_decisions, select_gains
from benchmarks.trust.null_logs import EXPLORE, drift, exact_null, indifferent_world, random_variants, rule_of
from benchmarks.trust.worlds import explored, on_rows
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.evidence import Sides
from tune_configs.gate.request import GateDecision, Needs
from tune_configs.judge import Judge, episodes_in


@pytest.mark.parametrize("draw", [exact_null, drift])
def test_the_fast_choice_is_the_judges(draw):
    log = draw(np.random.default_rng(0), 6)
    dataset = log.dataset.split("train", "select")
    select, train = (episodes_in(dataset, name) for name in ("select", "train"))
    sides = Sides(np.zeros_like(select), select, select | train)
    rows = on_rows(dataset, np.concatenate([log.champion[None], log.variants]))
    judge = Judge(dataset, rows[0], evaluated=select, fitted=train)
    for fast, variant in zip(select_gains(dataset, log.champion, log.variants, sides), rows[1:], strict=True):
        slow = judge.judge(variant).gain
        assert fast.refused == slow.refused and fast.units == slow.units
        assert fast.effective_sample_size == pytest.approx(slow.effective_sample_size)
        if slow.usable:
            # The table of the benchmark has a row for a state that the judge's encoder may not have met.
            assert (fast.value, fast.lower) == pytest.approx((slow.value, slow.lower), rel=1e-6)


def test_no_variant_of_a_null_world_is_better():
    rng = np.random.default_rng(1)
    for alias in (False, True):
        world = indifferent_world(alias)
        champion = explored(rule_of(world), EXPLORE)
        values = [world.value(policy) for policy in random_variants(rng, 20, champion)]
        assert values == pytest.approx([world.value(champion)] * 20)
    world, praised = null_logs.deceptive_world()
    champion = explored(rule_of(world), EXPLORE)
    log = null_logs.deceptive_model(rng, 12)
    assert all(world.value(variant) <= world.value(champion) + 1e-12 for variant in log.variants)
    # The model does praise what is worse: its own values say so at every observation.
    model = null_logs._aliased_values(world, champion)
    assert ((praised - champion) * model).sum(axis=1).min() >= 0.0


def test_the_same_chain_promotes_what_is_better():
    """A null says nothing of a chain that never promotes: let action 1 earn more, and a step towards it wins."""
    log = exact_null(np.random.default_rng(2), 4)
    dataset = replace(log.dataset, rewards=log.dataset.rewards + 2.0 * (log.dataset.actions == 1))
    aim = explored(np.eye(log.champion.shape[1])[np.ones(len(log.champion), dtype=int)], EXPLORE)
    variants = np.concatenate([log.variants, (0.8 * log.champion + 0.2 * aim)[None]])
    found = gate_decisions(dataset, log.champion, variants, (1, 3), counts=(4, 5))
    decision, finalists = found[5, 1]
    assert decision.decision == "promote" and finalists[decision.winner] == 4
    # Each count sees its first variants only, and a later look asks for more.
    assert found[4, 1] is None or 4 not in found[4, 1][1]
    assert found[5, 3][0].alpha == alpha_at(3) and found[5, 3][0].estimate.lower < decision.estimate.lower


def test_a_life_goes_on_with_what_was_promoted(monkeypatch):
    """Every gate that promotes moves the champion, whose log is the next; looks are counted one by one."""
    seen = []

    def gate(dataset, champion, variants, looks, *, sides):
        seen.append((looks, champion.copy(), int(sides.tested.sum()), dataset.episode_count))
        winner = GateDecision("promote", "", 0, "", (), 0.01, looks[0], Needs())
        return {(len(variants), looks[0]): (winner, (1, 0))}

    monkeypatch.setattr(retraining_lives, "gate_decisions", gate)
    assert retraining_lives.life(np.random.default_rng(0), cycles=5) == 5
    assert [looks for looks, *_ in seen] == [(1,), (2,), (3,), (4,), (5,)]
    assert not np.allclose(seen[0][1], seen[1][1])
    # Only this cycle's final episodes are ever tested, however much is kept for the models.
    assert {tested for _, _, tested, _ in seen} == {seen[0][2]} and seen[-1][3] == 3 * seen[0][3]
