"""Other choosers on the same logs, with the same variants: what each would deploy.

FQE-argmax deploys the variant of the largest fitted Q value if that is above the champion's. OBP (one decision
only) and SCOPE-RL answer in an environment of their own, with the same model values: OBP's doubly robust rounds
by Student's t, paired with the champion's; SCOPE-RL's doubly robust value by its bootstrap, above the mean return of
the log. Both deploy the variant of the largest lower bound if that is above 0. All read every episode that nothing
was trained on, select and final, as their users do who know of no gate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from algorithms.ope.state_action_models import TabularModel
from benchmarks.sealed.records import RivalRecord
from benchmarks.trust import peers
from benchmarks.trust.worlds import on_rows
from envs.dataset import Dataset
from tune_configs.judge import Judge, episodes_in

DRAWS = 100
"""Of SCOPE-RL's bootstrap, for one interval."""
OURS = "ours"


@dataclass(frozen=True, eq=False)
class RivalQuestion:
    """One log with its variants; what the peers are given, and what is only known here.

    Attributes:
        name: family, life and cycle.
        arrays: of ``benchmarks/peers/lower_bounds.py``, the champion before the V variants.
        fitted: float64 (V,), fitted Q gain of each variant.
        truths: float64 (V,), true gains.
        winner: the variant that our gate promoted on this log, or ``None``.
    """

    name: str
    arrays: dict[str, np.ndarray]
    fitted: np.ndarray
    truths: np.ndarray
    winner: int | None


def rival_question(
    name: str,
    dataset: Dataset,
    held_out: np.ndarray,
    champion: np.ndarray,
    variants: np.ndarray,
    truths: np.ndarray,
    winner: int | None,
) -> RivalQuestion:
    """The held-out episodes with models of ``train``.

    Args:
        name: family, life and cycle.
        dataset: the log.
        held_out: bool (E,), episodes that nothing was trained on.
        champion: float64 (O, A).
        variants: float64 (V, O, A).
        truths: float64 (V,), true gains.
        winner: the variant that our gate promoted, or ``None``.
    """
    policies = on_rows(dataset, np.concatenate([champion[None], variants]))
    table = TabularModel(dataset.observations[:, 0].astype(np.int64), *champion.shape)
    judge = Judge(
        dataset,
        policies[0],
        evaluated=held_out,
        fitted=episodes_in(dataset, "train"),
        folds=0,
        models={"table": table},
    )
    paths = judge.trajectories(policies)["table"]
    longest = int(paths[0].active.sum(axis=1).max())
    active = paths[0].active[:, :longest]
    taken = np.zeros(active.shape)
    taken[active] = judge.subset.propensities
    pscore = np.where(active, taken, 1.0)
    target = np.stack([np.exp(path.log_ratios[:, :longest]) for path in paths]) * pscore
    q = np.stack([path.q_values[:, :longest] for path in paths if path.q_values is not None])
    v = np.stack([path.v_values[:, :longest] for path in paths if path.v_values is not None])
    # After its end an episode goes on at weight 1, reward 0 and value 0: SCOPE-RL knows one length only.
    arrays = {
        "rewards": paths[0].rewards[:, :longest],
        "pscore": pscore,
        "target": target,
        "q": q,
        "v": np.where(active, v, 0.0),
    }
    fitted = v[1:, :, 0].mean(axis=1) - v[0, :, 0].mean()
    return RivalQuestion(name, arrays, fitted, truths, winner)


def rival_records(questions: list[RivalQuestion]) -> list[RivalRecord]:
    """What everybody deploys of each log, the gate among them."""
    if not questions:
        return []
    arrays = {f"{each.name}/{key}": values for each in questions for key, values in each.arrays.items()}
    found = peers.run("lower_bounds", {"draws": np.array(DRAWS), **arrays})
    records = []
    for each in questions:
        bounds = {
            "FQE-argmax": each.fitted,
            "OBP with t": found[f"{each.name}/obp"],
            "SCOPE-RL with bootstrap": found[f"{each.name}/scope"],
        }
        choices = {OURS: each.winner}
        choices |= {rival: deployed(lower) for rival, lower in bounds.items() if np.isfinite(lower).all()}
        records += [_record(each, rival, choice) for rival, choice in choices.items()]
    return records


def deployed(lower: np.ndarray) -> int | None:
    """The variant of the largest lower bound (V,) if that is above 0."""
    best = int(np.argmax(lower))
    return best if lower[best] > 0.0 else None


def _record(question: RivalQuestion, rival: str, choice: int | None) -> RivalRecord:
    family = question.name.split("/")[0]
    best = float(max(question.truths.max(), 0.0))
    gain = 0.0 if choice is None else float(question.truths[choice])
    return RivalRecord(question.name, family, rival, choice is not None, gain, best)
