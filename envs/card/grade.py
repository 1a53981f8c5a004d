"""The grade of a log: what can be proven with it, to the declared horizon.

- **A**: propensities on 99.9 % of the rows, the smallest at least .003, martingale residual |z| < 3.5, no
  field that foretells the draw beyond them, and for the reference policy (½ behaviour + ½ the state's modal
  logged action) an effective sample size of at least 200 units and 10 %, no unit with more than 5 % of the weight.
- **A-M**: the same by marginal weights, with 25 % of the units at the step that they reach least, where the
  history test passed and observations are few and distinct. It admits doubly robust estimation with marginal
  weights only. Where observations are numbers there is no such grade: state ratios are then those of cells,
  whose error stays however much is logged.
- **B**: stochastic with overlap, but the propensities are estimated, or fail a condition of A other than
  the effective sample size.
- **C**: deterministic, or without overlap at this horizon.
- **D**: not learnable.

Records that are wrong themselves lower it: :mod:`envs.card.spoilt`.

One deviation: a detectable effect above the practical effect is a finding and leaves grade A unless it is
ten times as large (then B). The gate itself answers "inconclusive" and says how many more decisions it
needs; a grade that fell whenever the practical effect was declared small would say nothing about the log.
"""

from __future__ import annotations

import math
from dataclasses import replace

from envs.card.doubts import doubts_about
from envs.card.evidence import Evidence
from envs.card.findings import Finding
from envs.card.obstacles import obstacles
from envs.counting import counted
from envs.specification import AgentSpecification

GRADES = ("A", "A-M", "B", "C", "D")
NEEDED_UNITS = 200
NEEDED_FRACTION = 0.1
NEEDED_MARGINAL_FRACTION = 0.25
HOPELESS = 10.0

MEANINGS = {
    "A": "the gate can prove an improvement with this log and promote it",
    "A-M": "the gate can prove an improvement with this log as long as the present state says all that matters",
    "B": "a live test may start from this log, nothing is promoted automatically",
    "C": "no other policy can be proven with this log; recommendations rest on a model alone",
    "D": "nothing can be learned from this log",
}


def grade_log(evidence: Evidence, specification: AgentSpecification) -> tuple[str, list[Finding]]:
    """The grade and the findings that decide it, the decisive one first.

    Args:
        evidence: the log's figures.
        specification: the agent's declaration.

    Returns:
        The grade, and the findings: those that decide it, and whether observations are states.
    """
    hopeless = obstacles(evidence, specification)
    if hopeless:
        return "D", hopeless
    aliased = _aliased_states(evidence)
    missing = _lack_of_overlap(evidence, specification)
    if missing and evidence.marginal is not None:
        by_step = replace(evidence, overlap=evidence.marginal)
        grade, found = _graded(by_step, specification)
        enough = evidence.marginal.fraction >= NEEDED_MARGINAL_FRACTION
        if grade == "A" and enough and not _lack_of_overlap(by_step, specification):
            return "A-M", [_marginal_overlap(evidence), *found]
    if missing:
        return "C", [*missing, *doubts_about(evidence, error=False), *aliased]
    grade, found = _graded(evidence, specification)
    return grade, [*found, *aliased]


def _graded(evidence: Evidence, specification: AgentSpecification) -> tuple[str, list[Finding]]:
    """A or B, of a log with overlap."""
    doubts = [*doubts_about(evidence, error=True), *_carried_over(evidence, specification)]
    effect = _detectable_effect(evidence, specification)
    hopeless = effect is not None and effect.severity == "error"
    # Of a field that knows the draw the findings are told with the other leaks.
    return ("B" if doubts or hopeless or evidence.foretelling else "A"), doubts + ([effect] if effect else [])


def _marginal_overlap(evidence: Evidence) -> Finding:
    """What grade A-M rests on."""
    assert evidence.overlap is not None and evidence.marginal is not None
    whole, least = evidence.overlap, evidence.marginal
    return Finding(
        "marginal_overlap",
        "information",
        f"by whole episodes the effective sample size is {whole.effective:,.1f} of {whole.units:,} units, by state "
        f"and action at least {least.effective:,.0f} ({100 * least.fraction:.0f} %) at every step",
        "a policy is proven by marginal weights, which count on the present state to say all that matters",
        "nothing need be done; keep what decides in the observation",
    )


def _carried_over(evidence: Evidence, specification: AgentSpecification) -> list[Finding]:
    """Episodes of one unit are not worlds of their own."""
    carried = evidence.carried
    if carried is None or not carried.found:
        return []
    return [
        Finding(
            "carried_over",
            "error",
            carried.sentence(str(specification.actions[carried.action])),
            "a policy's value per episode is not what it would earn if it decided in all of them; the gate refuses",
            f"declare the {specification.unit} as the episode (one episode_id, a longer horizon)",
        )
    ]


def _aliased_states(evidence: Evidence) -> list[Finding]:
    """The past tells what the present does not: what a model of the observations says is off."""
    history = evidence.history
    if history is None or not history.failed:
        return []
    remedy = "put what was before (the last observation, action and reward), or what is hidden, into the observation"
    if history.target == "end":  # such as of an episode that always ends at its fifth decision
        remedy = (
            "put the number of the step into the observation, or, where episodes end only because they have reached "
            f"their length, record truncated instead of terminated at their last decision; or {remedy}"
        )
    return [
        Finding(
            "aliased_states",
            "warning",
            history.sentence,
            "different states look alike: what models of the observation say is off, and they do not show it",
            remedy,
        )
    ]


def _lack_of_overlap(evidence: Evidence, specification: AgentSpecification) -> list[Finding]:
    """Why no other policy can be proven; the grade is C."""
    found = []
    if evidence.deterministic:
        how = "could be foretold from the observation" if evidence.estimated else "had a propensity of 1"
        found.append(
            Finding(
                "deterministic_rule",
                "error",
                f"{100 * evidence.certain_share:.1f} % of the decisions {how}: the policy that wrote the log left "
                "nothing to chance",
                "what another action would have done is not in the log",
                "explore: take a few per cent of the decisions at random and log the propensity",
            )
        )
    overlap = evidence.overlap
    if overlap is None or (overlap.effective >= NEEDED_UNITS and overlap.fraction >= NEEDED_FRACTION):
        return found
    horizon = specification.horizon
    product = f"a {horizon}-step horizon multiplies {horizon} ratios" if horizon > 1 else "each decision has one ratio"
    consequence = "few units carry all the weight, and an estimate for another policy is chance"
    if overlap.fraction >= NEEDED_FRACTION:
        consequence = "that is too few for an interval that holds"
        remedy = f"log {counted(units_lacking(evidence), 'more unit')} as now"
    elif horizon > 1:
        remedy = "declare a shorter horizon, or explore so that the usual action stays likely at every step"
    else:
        remedy = "give the usual action a larger probability, or log more decisions"
    found.append(
        Finding(
            "low_effective_sample_size",
            "error",
            f"{product}: effective sample size {overlap.effective:,.1f} of {overlap.units:,} units "
            f"({100 * overlap.fraction:.1f} %), needed are {NEEDED_UNITS} and {100 * NEEDED_FRACTION:.0f} %",
            consequence,
            remedy,
        )
    )
    return found


def units_lacking(evidence: Evidence) -> int:
    """Units still needed where only their number is lacking; 0 where overlap itself is."""
    overlap = evidence.overlap
    if overlap is None or overlap.fraction < NEEDED_FRACTION:
        return 0
    return max(math.ceil(NEEDED_UNITS / overlap.fraction) - overlap.units, 1)


def _detectable_effect(evidence: Evidence, specification: AgentSpecification) -> Finding | None:
    overlap = evidence.overlap
    if overlap is None or not math.isfinite(overlap.detectable):
        return None
    practical = specification.practical_effect
    if overlap.detectable <= practical:
        return None
    # n grows with the square of the ratio; all splits grow together.
    per_unit = evidence.decisions / max(overlap.units, 1)
    more = math.ceil(overlap.units * ((overlap.detectable / practical) ** 2 - 1.0) * per_unit)
    return Finding(
        "detectable_effect",
        "error" if overlap.detectable > HOPELESS * practical else "warning",
        f"the {overlap.final_units:,} final units show an improvement of {100 * overlap.detectable:.1f} % or more, "
        f"the practical effect is {100 * practical:.1f} %",
        "a smaller improvement ends in inconclusive",
        f"log about {more:,} more decisions, or declare the practical effect that matters",
    )
