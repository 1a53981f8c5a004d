"""Grade A-M: where whole episodes do not reach a policy, its states do, and the judge and the gate weigh those."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from envs.card.history import history_test
from envs.dataset import Dataset
from envs.guardrail import GuardrailSpecification
from tests.worlds import explored, random_world
from tune_configs.gate.decision import decide
from tune_configs.gate.evidence import Sides, gate_request
from tune_configs.gate.guardrail_evidence import guardrail_refusal
from tune_configs.judge import BY_STATES, Judge, episodes_in, overlap_rule

HORIZON, EXPLORE = 30, 0.5


@pytest.fixture(scope="module")
def setting() -> tuple[Dataset, np.ndarray, np.ndarray, float]:
    """A log of 30 decisions each, champion and candidate at all rows, and the candidate's true gain."""
    world = random_world(5, states=4, horizon=HORIZON, terminal=0)
    rule = np.zeros(world.state_count, dtype=int)
    behaviour = explored(np.eye(world.action_count)[rule], EXPLORE)
    best = world.reward.argmax(axis=1)
    candidate = explored(np.eye(world.action_count)[best], EXPLORE)
    log = world.log(behaviour, 2_500, 1, specification=world.specification(explore=EXPLORE, worst_class="x > 0"))
    log = replace(log, worst=log.rewards > 0)
    states = log.observations[:, 0].astype(int)
    return log, behaviour[states], candidate[states], world.value(candidate) - world.value(behaviour)


def judge_of(log: Dataset, champion: np.ndarray, grade: str, **more: object) -> Judge:
    sides = {"evaluated": episodes_in(log, "select"), "fitted": episodes_in(log, "train")}
    return Judge(log, champion, grade=grade, **sides, **more)  # type: ignore[arg-type]


def test_what_episodes_do_not_reach_states_do(setting: tuple[Dataset, np.ndarray, np.ndarray, float]) -> None:
    log, champion, candidate, truth = setting
    assert history_test(log).shows_states
    whole, by_states = (judge_of(log, champion, grade) for grade in ("A", BY_STATES))
    refused, found = whole.judge(candidate), by_states.judge(candidate)
    assert refused.gain.refused and refused.value.evidence == "model"
    assert found.gain.usable and found.gain.evidence == found.value.evidence == "log"
    assert found.value.estimator == "doubly_robust_marginalized"
    assert truth > 1.0
    assert abs(found.gain.value - truth) < 3.0 * found.gain.diagnostics["standard_error"] < 0.5 * truth
    reach = [judge.reach(judge.trajectories(candidate[None])[judge.first][0])[0] for judge in (whole, by_states)]
    assert reach[0] < 0.05 * found.gain.units < 0.25 * found.gain.units < reach[1]


def test_an_identical_policy_gains_nothing(setting: tuple[Dataset, np.ndarray, np.ndarray, float]) -> None:
    log, champion, *_ = setting
    found = judge_of(log, champion, BY_STATES).judge(champion.copy())
    assert (found.gain.value, found.gain.lower, found.gain.upper) == (0.0, 0.0, 0.0)


def test_state_ratios_are_carried_and_not_weighed_where_only_asked_for(
    setting: tuple[Dataset, np.ndarray, np.ndarray, float],
) -> None:
    log, champion, candidate, _ = setting
    plain, carrying = judge_of(log, champion, "A"), judge_of(log, champion, "A", markov=False)
    assert plain.judge(candidate) == carrying.judge(candidate) or np.isnan(plain.judge(candidate).gain.value)
    (without,), (found,) = (judge.trajectories(candidate[None])[judge.first] for judge in (plain, carrying))
    assert without.state_log_ratios is None and found.state_log_ratios is not None and not found.markov
    assert np.abs(found.state_log_ratios).max() > 0.1


def test_the_gate_promotes_by_states_and_by_their_rule(
    setting: tuple[Dataset, np.ndarray, np.ndarray, float],
) -> None:
    log, champion, candidate, truth = setting
    sides = Sides(*(episodes_in(log, *names) for names in (("final",), ("select",), ("train", "select"))))
    by_episodes = decide(gate_request(log, champion, candidate[None], sides, grade="A", look=1))
    assert by_episodes.decision != "promote" and "overlap too small" in by_episodes.reason
    request = gate_request(log, champion, candidate[None], sides, grade=BY_STATES, look=1)
    assert request.overlap == overlap_rule(BY_STATES) != overlap_rule("A")
    assert request.effective_sample_sizes[0] > request.overlap.minimum_units
    decision = decide(request)
    assert decision.decision == "promote" and decision.leg == "asymptotic"
    assert decision.estimates[0].lower < truth < decision.estimates[0].upper
    barred = gate_request(log, champion, candidate[None], sides, grade=BY_STATES, look=1, barred=("the test failed",))
    assert decide(barred).decision != "promote" and "the test failed" in decide(barred).reason


def test_the_worst_outcome_counts_with_the_weight_of_its_step(
    setting: tuple[Dataset, np.ndarray, np.ndarray, float],
) -> None:
    """Weights of whole episodes would vary by orders of magnitude; those of a step stay about 1."""
    log, champion, candidate, _ = setting
    sides = Sides(*(episodes_in(log, *names) for names in (("final",), ("select",), ("train", "select"))))
    by_states = gate_request(log, champion, candidate[None], sides, grade=BY_STATES, look=1).tail.weights
    by_episodes = gate_request(log, champion, candidate[None], sides, grade="A", look=1).tail.weights
    assert by_states is not None and by_episodes is not None
    assert np.median(by_episodes) < 0.05 < 0.5 < np.median(by_states)
    never = replace(log, worst=np.zeros(len(log), dtype=bool))
    calm = gate_request(never, champion, candidate[None], sides, grade=BY_STATES, look=1).tail.weights
    assert calm is not None and (by_states >= calm).all() and calm.mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("aggregate", "refused"), [("max", True), ("mean", True), ("sum", False)])
def test_a_guardrail_that_hangs_on_the_past_cannot_be_tested_by_states(
    setting: tuple[Dataset, np.ndarray, np.ndarray, float], aggregate: str, refused: bool
) -> None:
    log = setting[0]
    rail = GuardrailSpecification("latency", "seconds", "lower", aggregate, margin=0.01)
    log = replace(
        log, guardrails=np.ones((len(log), 1)), specification=replace(log.specification, guardrails=(rail,))
    )  # fmt: skip
    tested, fitted = episodes_in(log, "final"), episodes_in(log, "train", "select")
    assert guardrail_refusal(log, tested, fitted, "A") == ""
    reason = guardrail_refusal(log, tested, fitted, BY_STATES)
    assert reason.startswith(f"guardrail latency is the {aggregate} of an episode") if refused else reason == ""


def test_cuts_that_hide_what_came_after_bar_marginal_weights(
    setting: tuple[Dataset, np.ndarray, np.ndarray, float],
) -> None:
    """An end is always known: models that learn of no cut believe in too many, and a policy that loses was promoted."""
    log, champion, candidate, _ = setting
    log = replace(log, specification=replace(log.specification, censoring="random", horizon=HORIZON + 1))
    sides = Sides(*(episodes_in(log, *names) for names in (("final",), ("select",), ("train", "select"))))
    for known, words in ((True, ""), (False, "cannot weigh for")):
        seen = replace(log, end_known=np.full(log.episode_count, known))
        request = gate_request(seen, champion, candidate[None], sides, grade=BY_STATES, look=1)
        assert words in request.barred[0] and bool(request.barred[0]) == bool(words)
