"""Cut episodes: exact by enumeration where the chance of a cut is known, measurably better where it is estimated."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from algorithms.ope.censoring import bounded_ends, censoring_bounds, censoring_survival, censoring_weighted
from algorithms.ope.doubly_robust import doubly_robust_contributions
from algorithms.ope.importance_sampling import ips_contributions
from algorithms.ope.overlap import NO_RULE
from algorithms.ope.padding import censored, trajectories_from
from algorithms.ope.per_decision import pdis, pdis_contributions, weighted_pdis
from envs.behavior import unit_folds
from envs.errors import DataError

BEHAVIOUR = np.array([[0.7, 0.3], [0.4, 0.6], [0.15, 0.85]])
TARGET = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]])
HAZARD = np.array([[0.1, 0.5], [0.7, 0.2], [0.3, 0.6]])
CONTRIBUTIONS = {"ips": ips_contributions, "pdis": pdis_contributions, "dr": doubly_robust_contributions}


def cut_everywhere(world, batch, by_next):
    """Each trajectory whole and cut after each decision that allows it, with its probability and survival."""
    source, kept, probability, survivals = [], [], [], []
    for row, length in enumerate(batch.active.sum(axis=1)):
        states, actions = batch.states[row], batch.actions[row]
        hazard = np.zeros(world.horizon)
        for step in range(length - 1):
            hazard[step] = HAZARD[states[step + 1], 0] if by_next else HAZARD[states[step], actions[step]]
        seen = batch.probability[row]
        for step in range(length):
            chance = hazard[step] if step < length - 1 else 1.0
            source.append(row)
            kept.append(step + 1)
            probability.append(seen * chance)
            survivals.append(1.0 - hazard[: step + 1])
            seen *= 1.0 - hazard[step]
    return np.array(source), np.array(kept), np.array(probability), np.concatenate(survivals)


def cut_log(world, by_next, end_known):
    """The enumerated log with cuts, its model values (of a wrong model), probabilities and survival."""
    batch = world.enumerate(BEHAVIOUR)
    q = np.random.default_rng(0).normal(size=(world.horizon + 1, 3, 2)) * 5
    q[0] = 0.0
    whole = world.trajectories(batch, BEHAVIOUR, TARGET, q)
    source, kept, probability, survival = cut_everywhere(world, batch, by_next)
    inside = np.arange(world.horizon) < kept[:, None]
    short = replace(
        batch,
        states=np.where(inside, batch.states[source], -1),
        actions=np.where(inside, batch.actions[source], 0),
        rewards=np.where(inside, batch.rewards[source], 0.0),
        active=batch.active[source] & inside,
        terminated=batch.terminated[source] & (kept == batch.active[source].sum(axis=1)),
        probability=probability,
    )
    dataset = world.dataset(short, BEHAVIOUR, end_known=bool(end_known))
    known = np.arange(len(kept)) % 2 == 0 if end_known == "some" else np.full(len(kept), end_known)
    dataset = replace(dataset, end_known=known)
    # The model's value of the state that an episode was cut in is known with that state only.
    reach = np.arange(world.horizon + 1) < (kept + known)[:, None]
    v = np.where(reach, whole.v_values[source], 0.0)
    return dataset, np.where(short.active, whole.q_values[source], 0.0), v, probability, survival


@pytest.mark.parametrize("name", CONTRIBUTIONS)
@pytest.mark.parametrize(("by_next", "end_known"), [(True, True), (False, True), (False, False), (False, "some")])
def test_unbiased_by_enumeration(world, name, by_next, end_known):
    dataset, q, v, probability, survival = cut_log(world, by_next, end_known)
    assert probability.sum() == pytest.approx(1.0, abs=1e-12)
    assert probability[censored(dataset)].sum() > 0.3
    target = TARGET[dataset.observations[dataset.rows, 0].astype(int)]
    model = {"q": q, "v": v} if name == "dr" else {}
    trajectories = trajectories_from(dataset, target, **model)
    weighted = censoring_weighted(dataset, trajectories, survival)
    truth = world.value(TARGET)
    assert probability @ CONTRIBUTIONS[name](weighted) == pytest.approx(truth, abs=1e-10)
    assert probability @ weighted.cumulative_weights == pytest.approx(np.ones(world.horizon), abs=1e-10)
    if name != "dr":  # whose error without weights is the model's, whatever that is
        assert abs(probability @ CONTRIBUTIONS[name](trajectories) - truth) > 0.05
        whole = ~censored(dataset)
        complete = probability[whole] @ CONTRIBUTIONS[name](trajectories)[whole] / probability[whole].sum()
        assert abs(complete - truth) > 0.05


def test_bounds_hold_the_truth_and_are_what_the_worst_and_best_worlds_pay(world):
    """Enumerated: the pessimistic log's mean is the value of the world that pays the worst after every cut."""
    dataset, _, _, probability, _ = cut_log(world, False, True)
    low, high = bounded_ends(dataset)
    target = TARGET[dataset.observations[dataset.rows, 0].astype(int)]
    ends = [probability @ pdis_contributions(trajectories_from(log, target)) for log in (low, high)]
    assert ends[0] < world.value(TARGET) < ends[1]
    assert not censored(low).any() and low.terminated.sum() == dataset.terminated.sum() + censored(dataset).sum()
    for log, reward in ((low, world.base.min() - 1.0), (high, world.base.max() + 1.0)):
        # By dynamic programming: after a cut every remaining decision pays the range's end (it is the
        # larger sum in size here, since the range holds 0).
        q, value = np.zeros((3, 2)), np.zeros(3)
        for steps in range(1, world.horizon + 1):
            left = steps - 1
            rest = reward * (world.discount ** np.arange(left)).sum()
            hazard = HAZARD if left else np.zeros_like(HAZARD)
            going = (1 - world.end) * ((1 - hazard) * (world.move @ value) + hazard * rest)
            q = world.base + world.discount * going
            value = (TARGET * q).sum(axis=1)
        expected = world.start @ value
        got = probability @ pdis_contributions(trajectories_from(log, target))
        assert got == pytest.approx(expected, abs=1e-10)


def test_an_incident_without_an_end_takes_the_worst_and_the_others_a_weight(world):
    dataset, _, _, _, _ = cut_log(world, False, True)
    incident = np.arange(dataset.episode_count) % 2 == 0
    low, high = bounded_ends(dataset, incident)
    assert np.array_equal(censored(low), censored(dataset) & ~incident)
    changed = low.rewards != dataset.rewards
    assert np.array_equal(np.unique(dataset.episode_index[changed]), np.flatnonzero(censored(dataset) & incident))
    assert np.all(low.rewards <= dataset.rewards) and np.all(high.rewards >= dataset.rewards)
    with pytest.raises(DataError, match="no declared range"):
        bounded_ends(replace(dataset, specification=replace(dataset.specification, reward_range=None)))


def cut_draw(bigger, behaviour, episodes, seed, hazard):
    """A drawn log whose episodes are cut after a decision with a chance that depends on its state."""
    rng = np.random.default_rng(seed)
    batch = bigger.draw(behaviour, episodes, rng)
    lengths = batch.active.sum(axis=1)
    chance = np.where(batch.active, hazard[np.maximum(batch.states, 0)], 0.0)
    at_risk = np.arange(bigger.horizon) < lengths[:, None] - 1
    strikes = (rng.random(chance.shape) < chance) & at_risk
    kept = np.where(strikes.any(axis=1), strikes.argmax(axis=1) + 1, lengths)
    batch.active &= np.arange(bigger.horizon) < kept[:, None]
    batch.terminated &= kept == lengths
    return bigger.dataset(batch, behaviour)


def informative_world(bigger):
    """State decides both what is earned later and the chance of a cut."""
    sticky = 0.6 * np.eye(4)[:, None, :] + 0.4 * bigger.move
    return replace(bigger, base=bigger.base + np.array([3.0, 1.0, -1.0, -3.0])[:, None], move=sticky)


STATE_HAZARD = np.array([0.35, 0.15, 0.05, 0.02])


def test_kaplan_meier_makes_the_weights_of_every_step_average_to_one(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    dataset = cut_draw(bigger, behaviour, 400, 1, STATE_HAZARD)
    trajectories = trajectories_from(dataset, np.full((len(dataset), 3), 1 / 3))
    survival = censoring_survival(dataset, method="steps")
    weighted = censoring_weighted(dataset, trajectories, survival)
    assert weighted.cumulative_weights.mean(axis=0) == pytest.approx(np.ones(8), abs=1e-12)
    at_first = dataset.steps == 0
    going = at_first & ~dataset.terminated
    gone = (dataset.lengths == 1) & censored(dataset)
    assert survival[going] == pytest.approx(1.0 - gone.sum() / going.sum())


def test_cut_by_state_the_weights_restore_the_truth_and_ignoring_does_not(bigger):
    world = informative_world(bigger)
    behaviour = np.full((4, 3), 1 / 3)
    target = np.full((4, 3), 0.2) + 0.4 * np.eye(3)[[0, 1, 2, 0]]
    truth = world.value(target)
    dataset = cut_draw(world, behaviour, 12_000, 2, STATE_HAZARD)
    probabilities = target[dataset.observations[dataset.rows, 0].astype(int)]
    plain = trajectories_from(dataset, probabilities)

    def error(trajectories, estimator=weighted_pdis):
        estimate = estimator(trajectories, overlap=NO_RULE)
        return (estimate.value - truth) / estimate.diagnostics["standard_error"]

    by_state = censoring_weighted(dataset, plain, censoring_survival(dataset))
    assert abs(error(by_state)) < 3.0 and abs(error(by_state, pdis)) < 3.0
    by_step = censoring_weighted(dataset, plain, censoring_survival(dataset, method="steps"))
    assert abs(error(by_step)) > 6.0
    assert abs(error(plain)) > 6.0
    whole = ~censored(dataset)
    complete = trajectories_from(dataset.select_episodes(whole), probabilities[np.repeat(whole, dataset.lengths)])
    assert abs(error(complete)) > 6.0
    low, high = (weighted_pdis(trajectories_from(log, probabilities), overlap=NO_RULE) for log in bounded_ends(dataset))
    spanned = censoring_bounds(low, high)
    assert low.value < truth < high.value
    assert (spanned.lower, spanned.upper) == (low.lower, high.upper)


def test_the_chance_of_a_row_comes_from_other_units(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    dataset = cut_draw(bigger, behaviour, 300, 3, STATE_HAZARD)
    dataset = replace(dataset, units=(np.arange(300) // 3).astype(str))
    fold = unit_folds(dataset.units, 5)[dataset.episode_index]
    # All of a fold's episodes now end where they stopped: the fold's own chances must not notice.
    last = np.zeros(len(dataset), dtype=bool)
    last[dataset.offsets[1:] - 1] = True
    ended = replace(dataset, terminated=dataset.terminated | (last & (fold == 1)))
    one, two = censoring_survival(dataset), censoring_survival(ended)
    same = (fold == 1) & ~ended.terminated
    assert np.array_equal(one[same], two[same])
    assert np.abs(one - two)[fold != 1].max() > 0.02


def test_nothing_is_cut_and_everything_is_cut(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    whole = bigger.dataset(bigger.draw(behaviour, 50, np.random.default_rng(0)), behaviour)
    assert np.array_equal(censoring_survival(whole), np.ones(len(whole)))
    all_cut = cut_draw(bigger, behaviour, 50, 0, np.ones(4))
    with pytest.raises(DataError, match="every episode that went on after step 0"):
        censoring_survival(all_cut)


def test_that_cuts_count_as_chance_stands_beside_the_number(bigger):
    behaviour = np.full((4, 3), 1 / 3)
    for hazard, told in ((0.2, True), (0.0, False)):
        dataset = cut_draw(bigger, behaviour, 300, 0, np.full(4, hazard))
        trajectories = trajectories_from(dataset, np.full((len(dataset), 3), 1 / 3))
        weighted = censoring_weighted(dataset, trajectories, censoring_survival(dataset))
        assert any("cut by chance" in text for text in pdis(weighted, force=True).assumptions) == told
        assert not any("cut by chance" in text for text in pdis(trajectories, force=True).assumptions)


@pytest.mark.full
def test_intervals_cover_with_estimated_survival(bigger):
    world = informative_world(bigger)
    behaviour = np.full((4, 3), 1 / 3)
    target = np.full((4, 3), 0.25) + 0.25 * np.eye(3)[[0, 1, 2, 0]]
    truth, logs, hits = world.value(target), 300, 0
    for seed in range(logs):
        dataset = cut_draw(world, behaviour, 800, seed, 0.5 * STATE_HAZARD)
        probabilities = target[dataset.observations[dataset.rows, 0].astype(int)]
        trajectories = trajectories_from(dataset, probabilities)
        estimate = weighted_pdis(
            censoring_weighted(dataset, trajectories, censoring_survival(dataset)), overlap=NO_RULE
        )
        hits += estimate.lower <= truth <= estimate.upper
    assert stats.binomtest(hits, logs, 0.95, alternative="less").pvalue > 0.01, hits / logs
