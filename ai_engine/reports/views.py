"""From the document to what the page shows: sorted, formatted and drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ai_engine.reports.bars import share_bars, step_bars
from ai_engine.reports.charts import GainRow, TruthRow, forest_plot, truth_plot
from ai_engine.reports.estimate_view import estimate_view, method, proviso
from ai_engine.reports.formats import (
    DASH,
    SPACE,
    common_decimals,
    estimate_decimals,
    finite,
    fixed,
    interval,
    known,
    label,
    number,
    percent,
    plus_minus,
    setting,
    words,
)
from algorithms.ope.overlap import DOUBLY_ROBUST_RULE

Data = Mapping[str, Any]

# decision -> (CSS class, sign, what it means)
DECISIONS = {
    "promote": ("promote", "▲", "The gate proved the gain on decisions that nothing else has read."),
    "canary": ("canary", "◐", "Worth a live test; nothing is promoted on this evidence."),
    "keep": ("keep", "■", "The champion stays; no variant gains enough to matter."),
    "inconclusive": ("inconclusive", "◇", "The log cannot decide yet; more decisions can."),
    "refused": ("refused", "✕", "This log cannot answer the question, whatever its numbers look like."),
}
NO_GATE = ("keep", "○", "No gate was run, so nothing was tested on the final split.")
GRADES = {
    "A": "Proves other policies: exact propensities and enough overlap.",
    "A-M": "Proves other policies where the present state says all that matters.",
    "B": "Propensities are estimated: good for a live test, not for a promotion.",
    "C": "Proves no other policy: deterministic, without overlap, or its records contradict or repeat each other.",
    "D": "Not learnable as it is.",
}
SEVERITIES = {"error": "bad", "warning": "warn"}
MOST_ACTIONS = 24  # in the drawing; the table has all
LONGEST_TEXT = 32  # beside a mark; what is longer is in the table only
BY_LOG, BY_MODEL = "The log itself speaks", "Only a model speaks"


def outcome_view(gate: Data | None) -> dict[str, str]:
    """The badge: class, sign, text and meaning."""
    decision = str((gate or {}).get("decision") or "")
    kind, sign, meaning = DECISIONS.get(decision, NO_GATE if not decision else ("keep", "○", ""))
    return {"kind": kind, "sign": sign, "text": decision or "not gated", "meaning": meaning}


def card_view(card: Data, agent: str, shown: Data | None = None) -> dict[str, Any]:
    """Grade, findings and the drawing of the provable steps; figures that stand above are not repeated.

    Args:
        card: a data card as plain JSON.
        agent: whose it is.
        shown: figures that stand above.
    """
    figures = {**({"horizon": card["horizon"]} if "horizon" in card else {}), **(card.get("figures") or {})}
    above = {("agent", agent), *((label(name), words(value)) for name, value in (shown or {}).items())}
    grade = str(card.get("grade") or DASH)
    findings = [
        {**{key: row.get(key) for key in ("code", "sentence", "consequence", "remedy")}, **_severity(row)}
        for row in card.get("findings") or []
    ]
    steps = [_step(item) for item in card.get("provable_steps") or []]
    needed = DOUBLY_ROBUST_RULE.minimum_fraction
    drawing = ""
    if steps:
        text = "; ".join(f"step {step}: {percent(share)}" for step, share in steps)
        title = "Effective share of the log by step size"
        drawing = step_bars(steps, needed, "steps", title, f"{text}; {percent(needed)} is needed.")
    return {
        "grade": grade,
        "kind": grade[:1].lower() if grade in GRADES else "unknown",
        "meaning": card.get("meaning") or GRADES.get(grade, ""),
        "findings": findings,
        "figures": {k: value for k, value in figures.items() if (label(k), words(value)) not in above},
        "needed": needed,
        "steps": drawing,
        "advice": card.get("exploration_advice") or "",
    }


def variants_view(variants: Sequence[Data]) -> dict[str, Any]:
    """All variants, the provable ones first, each group best first, and their forest plot."""
    ranked = sorted(variants, key=_rank)
    gains, values = ([row.get(key) or {} for row in ranked] for key in ("gain", "estimate"))
    gain_decimals = common_decimals(gains, [row.get("model_gain") for row in ranked])
    value_decimals = common_decimals(values, [value.get("value") for value in values])
    rows: list[dict[str, Any]] = []
    for row in ranked:
        gain, estimate = row.get("gain") or {}, row.get("estimate") or {}
        rows.append(
            {
                "version": _version(row),
                "algorithm": str(row.get("algorithm") or DASH),
                "hyperparameters": [(k, setting(v)) for k, v in (row.get("hyperparameters") or {}).items()],
                "seeds": f",{SPACE}".join(str(seed) for seed in row.get("seeds") or []) or DASH,
                "step": number(row.get("step")),
                "gain": estimate_view(gain, gain_decimals, signed=True),
                "estimate": estimate_view(estimate, value_decimals),
                "model_gain": fixed(row.get("model_gain"), gain_decimals, signed=True),
                "by_log": by_log(gain),
                "refused": list(dict.fromkeys(str(e["refused"]) for e in (gain, estimate) if e.get("refused"))),
                "finalist": bool(row.get("finalist")),
                "recommended": bool(row.get("recommended")),
            }
        )
    drawing = ""
    if ranked:
        varied = _varied(rows)
        chart = [_gain_row(row, shown, varied) for row, shown in zip(ranked, rows, strict=True)]
        text = "; ".join(f"{row.label}: {row.text}" for row in chart)
        drawing = forest_plot(chart, "gains", "Paired gain of each variant over the champion", text)
    methods = {key: _common_method([row[key] for row in rows]) for key in ("gain", "estimate")}
    return {
        "rows": rows,
        "drawing": drawing,
        "methods": methods,
        "by_model": sum(not row["by_log"] for row in rows),
        "proviso": proviso([*gains, *values]),
    }


def action_view(actions: Data) -> dict[str, Any] | None:
    """How often each policy takes each action."""
    names = [str(name) for name in actions.get("names") or []]
    rows = actions.get("series") or []
    series = [(str(row.get("policy") or DASH), [finite(share) for share in row["shares"]]) for row in rows]
    if not names or not series:
        return None
    description = "; ".join(
        f"{policy}: " + ", ".join(f"{name} {percent(share)}" for name, share in zip(names, shares, strict=True))
        for policy, shares in series
    )
    drawn: Sequence[int] = range(len(names))
    if len(names) > MOST_ACTIONS:
        drawn = sorted(sorted(drawn, key=lambda index: -_difference(series, index))[:MOST_ACTIONS])
    few = [names[index] for index in drawn], [(policy, [shares[index] for index in drawn]) for policy, shares in series]
    drawing = share_bars(*few, "actions", "Share of the decisions by action and policy", description)
    table = [(name, [percent(shares[index]) for _, shares in series]) for index, name in enumerate(names)]
    return {"policies": [policy for policy, _ in series], "rows": table, "drawing": drawing, "drawn": len(drawn)}


def truth_view(reveal: Sequence[Data]) -> dict[str, Any] | None:
    """Truth beside estimate, where a testbed knows the truth."""
    if not reveal:
        return None
    decimals = common_decimals(reveal, [row.get("estimate") for row in reveal])
    rows, chart = [], []
    for row in reveal:
        own = estimate_decimals(row, decimals)
        keys = ("estimate", "lower", "upper", "pool", "pool_error", "unseen", "unseen_error")
        at = {key: finite(row.get(key)) for key in keys}
        lower, upper, pool = at["lower"], at["upper"], at["pool"]
        inside = DASH
        if lower is not None and upper is not None and pool is not None:
            inside = "yes" if lower <= pool <= upper else "no"
        shown = {
            "policy": str(row.get("policy") or DASH),
            "estimate": fixed(row.get("estimate"), own),
            "interval": interval(lower, upper, own),
            "pool": plus_minus(pool, row.get("pool_error")),
            "unseen": plus_minus(row.get("unseen"), row.get("unseen_error")),
            "evidence": str(row.get("evidence") or DASH),
            "inside": inside,
        }
        rows.append(shown)
        hollow = row.get("evidence") == "model"
        text = f"{shown['estimate']} · truth {shown['pool'].partition(f'{SPACE}±')[0]}"
        note = "a model’s estimate" if hollow else ""
        chart.append(TruthRow(label=shown["policy"], note=note, hollow=hollow, text=text, **at))
    description = "; ".join(
        f"{row['policy']}: estimate {row['estimate']} ({row['interval']}), truth {row['pool']}"
        + (f", unseen {row['unseen']}" if row["unseen"] != DASH else "")
        for row in rows
    )
    drawing = truth_plot(chart, "truth", "Estimated and true value of each policy", description)
    return {"rows": rows, "drawing": drawing, "unseen": any(known(row.get("unseen")) for row in reveal)}


def by_log(gain: Data) -> bool:
    """Whether the log itself, and not only a model, speaks for a gain."""
    return not gain.get("refused") and gain.get("evidence") != "model" and known(gain.get("value"))


def _rank(row: Data) -> tuple[bool, float]:
    gain = row.get("gain") or {}
    if by_log(gain):
        return False, -(gain["lower"] if known(gain.get("lower")) else gain["value"])
    return True, -row["model_gain"] if known(row.get("model_gain")) else float("inf")


def _varied(rows: Sequence[Data]) -> set[tuple[str, str]]:
    """Algorithm and name of each hyperparameter that tells variants apart; all, where there is one variant."""
    settings: dict[tuple[str, str], set[str]] = {}
    variants = Counter(row["algorithm"] for row in rows)
    times = Counter((row["algorithm"], name) for row in rows for name, _ in row["hyperparameters"])
    for row in rows:
        for name, value in row["hyperparameters"]:
            settings.setdefault((row["algorithm"], name), set()).add(value)
    return {
        key for key, values in settings.items() if len(values) > 1 or times[key] < variants[key[0]] or len(rows) == 1
    }


def _gain_row(row: Data, shown: Data, varied: set[tuple[str, str]]) -> GainRow:
    gain = row.get("gain") or {}
    proven = by_log(gain)
    marks = [word for word in ("recommended", "finalist") if shown[word]]
    settings = [f"{key} {value}" for key, value in shown["hyperparameters"] if (shown["algorithm"], key) in varied]
    note = " · ".join([*marks, *settings])
    name = f"{shown['version']} {shown['algorithm']} η {shown['step']}"
    point, lower, upper = (finite(gain.get(key)) for key in ("value", "lower", "upper"))
    model_gain = finite(row.get("model_gain"))
    text = f"model {shown['model_gain']}"
    if proven:
        text = f"{shown['gain']['value']} ({shown['gain']['interval']})"
        text = text if shown["gain"]["interval"] and len(text) <= LONGEST_TEXT else shown["gain"]["value"]
    elif gain.get("refused") or model_gain is not None:
        lower = upper = None  # an interval belongs to its own point and evidence
        point = point if model_gain is None else model_gain
    return GainRow(
        label=name,
        note=note,
        point=point,
        lower=lower,
        upper=upper,
        hollow=not proven,
        text=text,
        group=BY_LOG if proven else BY_MODEL,
        marked=shown["recommended"],
    )


def _difference(series: Sequence[tuple[str, Sequence[Any]]], index: int) -> float:
    shares = [finite(shares[index]) or 0.0 for _, shares in series]
    return max(shares) - min(shares)


def _step(item: Any) -> tuple[str, float | None]:
    """A provable step, given as a pair or as the data card's own object."""
    step, share = (
        (item.get("step"), item.get("effective_sample_size_fraction")) if isinstance(item, Mapping) else tuple(item)
    )
    return number(step), share if known(share) else None


def _common_method(shown: Sequence[Data]) -> str:
    """Estimator and confidence where all estimates share them, to be said once; else empty."""
    methods = {method(row) for row in shown}
    return methods.pop() if len(methods) == 1 else ""


def _severity(row: Data) -> dict[str, str]:
    severity = str(row.get("severity") or "information")
    return {"severity": severity, "kind": SEVERITIES.get(severity, "note")}


def _version(row: Data) -> str:
    version = row.get("version")
    return DASH if version is None else str(version)
