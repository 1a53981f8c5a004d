"""The whole chain under a placebo: rewards permuted between episodes, so that nothing can be better.

Candidates are learned on ``train``, finalists chosen on ``select``, models fitted on both, and
the gate reads ``final``: at the first and at the third look it promotes at most as often as α_j says.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.fitted_q_evaluation import fit_q
from algorithms.ope.overlap import OverlapRule
from algorithms.ope.paired import paired_difference, paired_overlap
from algorithms.ope.state_action_models import TabularModel
from algorithms.ope.trajectories import Trajectories
from tune_configs.gate.betting import BoundedDifferences, logger_difference
from tune_configs.gate.budget import alpha_at
from tune_configs.gate.decision import decide
from tune_configs.gate.request import GateRequest
from tune_configs.gate.tail import TailEvidence

STATES, ACTIONS, HORIZON, EXPLORE = 4, 3, 4, 0.3
TRAIN, SELECT, FINAL = 300, 100, 300
STEPS = (0.1, 0.25, 0.5, 1.0)
COST = 20.0
EFFECT = 2.0
RULE = (1 - EXPLORE) * np.eye(ACTIONS)[[0, 1, 2, 0]] + EXPLORE / ACTIONS
MOVE = np.random.default_rng(0).dirichlet(np.ones(STATES), (STATES, ACTIONS))


def draw_log(rng, effect=0.0):
    """A log whose skewed costs do not depend on what was done, save for ``effect`` of action 0."""
    episodes = TRAIN + SELECT + FINAL
    states = np.empty((episodes, HORIZON + 1), dtype=np.int64)
    actions = np.empty((episodes, HORIZON), dtype=np.int64)
    states[:, 0] = rng.integers(STATES, size=episodes)
    for step in range(HORIZON):
        now = states[:, step]
        actions[:, step] = np.minimum((rng.random((episodes, 1)) > RULE[now].cumsum(axis=1)).sum(axis=1), ACTIONS - 1)
        edges = MOVE[now, actions[:, step]].cumsum(axis=1)
        states[:, step + 1] = np.minimum((rng.random((episodes, 1)) > edges).sum(axis=1), STATES - 1)
    # One level per episode: whole episodes are permuted, as a placebo on real logs is.
    level = rng.lognormal(0.0, 0.5, (episodes, 1))
    rewards = -np.minimum(level * rng.lognormal(0.0, 0.5, (episodes, HORIZON)), COST)
    return states, actions, rewards[rng.permutation(episodes)] + effect * (actions == 0)


def models(log, episodes, policies):
    """Q̂ of the policies (P, S, A) fitted on the given episodes, for every h."""
    states, actions, rewards = (part[episodes] for part in log)
    count = len(states)
    rows = (np.arange(count)[:, None] * (HORIZON + 1) + np.arange(HORIZON)).ravel()
    coded = states.ravel()
    everything = np.ones(len(rows), dtype=bool)
    return fit_q(
        TabularModel(coded, STATES, ACTIONS),
        rows=rows,
        actions=actions.ravel(),
        rewards=rewards.ravel(),
        terminated=~everything,
        next_rows=rows + 1,
        next_valid=everything,
        probabilities=policies[:, coded],
        horizon=HORIZON,
        reward_range=(-COST, EFFECT),
    )


def under(log, episodes, policy, functions, index):
    states, actions, rewards = (part[episodes] for part in log)
    now = states[:, :HORIZON]
    to_go = HORIZON - np.arange(HORIZON)
    table = np.stack([np.zeros((STATES, ACTIONS))] + [c[index, :STATES] for c in functions.coefficients])
    values = np.einsum("hsa,sa->hs", table, policy)
    v = np.concatenate([values[to_go, now], np.zeros((len(now), 1))], axis=1)
    ratios = np.log(policy[now, actions]) - np.log(RULE[now, actions])
    return Trajectories(rewards, ratios, np.ones(actions.shape, dtype=bool), 1.0, table[to_go, now, actions], v)


def one_gate(rng, look, *, effect=0.0, select_on_final=False, rule=None, finalists=3):
    """Learn, choose and gate once; the decisions at the given looks."""
    log = draw_log(rng, effect)
    train, chosen_on, final = (
        np.arange(TRAIN),
        np.arange(TRAIN, TRAIN + SELECT),
        np.arange(TRAIN + SELECT, TRAIN + SELECT + FINAL),
    )
    if select_on_final:
        train = chosen_on = final
    learned = models(log, train, RULE[None])
    best = learned.coefficients[-1][0, :STATES].argmax(axis=1)
    aim = (1 - EXPLORE) * np.eye(ACTIONS)[best] + EXPLORE / ACTIONS
    policies = np.stack([RULE] + [(1 - step) * RULE + step * aim for step in STEPS])
    early = models(log, train, policies)
    scores = []
    for k in range(1, len(policies)):
        candidate, champion = (under(log, chosen_on, policies[i], early, i) for i in (k, 0))
        d = paired_difference(candidate, champion)
        scores.append(d.mean() - d.std() / np.sqrt(len(d)))
    order = 1 + np.argsort(scores)[::-1][:finalists]
    functions = early if select_on_final else models(log, np.arange(TRAIN + SELECT), policies)
    champion = under(log, final, RULE, functions, 0)
    candidates = [under(log, final, policies[k], functions, k) for k in order]
    span = (-COST * HORIZON, EFFECT * HORIZON)
    pairs = [logger_difference(candidate, span) for candidate in candidates]
    reference = np.stack(
        [
            paired_difference(under(log, chosen_on, policies[k], early, k), under(log, chosen_on, RULE, early, 0))
            for k in order
        ]
    )
    on_select = [logger_difference(under(log, chosen_on, policies[k], early, k), span)[0].std() for k in order]
    overlap = {} if rule is None else {"overlap": rule}
    return [
        decide(
            GateRequest(
                np.stack([paired_difference(candidate, champion) for candidate in candidates]),
                np.array([paired_overlap(candidate) for candidate in candidates]),
                TailEvidence(champion.returns),
                "A",
                j,
                practical_effect=0.1,
                reference=reference,
                bounded=BoundedDifferences(
                    np.stack([d for d, _ in pairs]), np.array([c for _, c in pairs]), np.array(on_select)
                ),
                draws=4_000,
                **overlap,
            )
        ).decision
        for j in look
    ]


def false_promotions(runs, seed, **changes):
    rng = np.random.default_rng(seed)
    counts = np.zeros(2, dtype=int)
    for _ in range(runs):
        counts += [decision == "promote" for decision in one_gate(rng, (1, 3), **changes)]
    return counts


def assert_nominal(counts, runs):
    for count, look in zip(counts, (1, 3), strict=True):
        p = stats.binomtest(int(count), runs, alpha_at(look), alternative="greater").pvalue
        assert p > 0.01, (look, int(count), runs)


def test_placebo_promotes_at_most_at_the_nominal_rate():
    assert_nominal(false_promotions(120, 1), 120)


@pytest.mark.full
def test_placebo_promotes_at_most_at_the_nominal_rate_in_2000_runs():
    assert_nominal(false_promotions(2_000, 2), 2_000)


def test_a_true_gain_of_the_same_world_is_promoted():
    """The placebo test means nothing of a gate that never promotes; here it finds about three in four."""
    rng = np.random.default_rng(3)
    decisions = [one_gate(rng, (1,), effect=EFFECT)[0] for _ in range(40)]
    assert decisions.count("promote") > 20


def test_learning_and_choosing_on_the_gated_episodes_breaks_the_rate():
    """The broken rule: the same episodes teach, select and judge."""
    counts = false_promotions(100, 4, select_on_final=True)
    assert stats.binomtest(int(counts[0]), 100, alpha_at(1), alternative="greater").pvalue < 0.01


def test_choosing_the_best_of_many_on_the_gated_units_breaks_the_rate(request_for):
    rng = np.random.default_rng(5)
    runs, variants, units = 150, 64, 200
    honest = broken = 0
    for _ in range(runs):
        select, final = rng.normal(size=(2, variants, units))
        honest += decide(request_for(final[select.mean(axis=1).argmax()])).decision == "promote"
        broken += decide(request_for(final[final.mean(axis=1).argmax()])).decision == "promote"
    assert stats.binomtest(honest, runs, alpha_at(1), alternative="greater").pvalue > 0.01
    assert broken / runs > 0.5


def test_refusing_low_overlap_is_part_of_the_rate():
    """Without the overlap rule a finalist that the log hardly reaches would be judged all the same."""
    rng = np.random.default_rng(6)
    tested = [one_gate(rng, (1,), finalists=1, rule=rule)[0] for rule in (None, OverlapRule(0, 0)) for _ in range(30)]
    assert tested[:30] != tested[30:]
