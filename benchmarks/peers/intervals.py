"""Intervals of OBP and SCOPE-RL on given logs; run by ``benchmarks.trust`` in the peers' environment.

in:  draws, the number of bootstrap draws, and for each group of logs GROUP/rewards, GROUP/target (probability
     of the logged action), GROUP/pscore, GROUP/q, GROUP/v: (L, E, H) each
out: GROUP/names (K,), GROUP/lower and GROUP/upper (K, L)

Two actions are enough for every formula: the logged one, and "any other" whose model value is what
is left of V. So the peers see exactly the numbers that our estimators see.
"""

import sys

import numpy as np
from obp.ope import (
    DoublyRobust,
    InverseProbabilityWeighting,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
)
from scope_rl.ope.discrete.basic_estimators import DoublyRobust as SequentialDoublyRobust
from scope_rl.ope.discrete.basic_estimators import (
    PerDecisionImportanceSampling,
    SelfNormalizedDR,
    SelfNormalizedPDIS,
    SelfNormalizedTIS,
    TrajectoryWiseImportanceSampling,
)

CONFIDENCE = "95.0% CI"


def single_decision(rewards, target, pscore, q, v, draws):
    """OBP's intervals of one log, each argument (E,)."""
    distribution, values = two_actions(target, q, v)
    arguments = {
        "reward": rewards,
        "action": np.zeros(len(rewards), dtype=int),
        "pscore": pscore,
        "action_dist": distribution[:, :, None],
        "n_bootstrap_samples": draws,
        "random_state": 0,
    }
    for estimator in (
        InverseProbabilityWeighting(),
        SelfNormalizedInverseProbabilityWeighting(),
        DoublyRobust(),
        SelfNormalizedDoublyRobust(),
    ):
        found = estimator.estimate_interval(estimated_rewards_by_reg_model=values[:, :, None], **arguments)
        yield f"OBP {estimator.estimator_name}, bootstrap", bounds(found)


def sequential(rewards, target, pscore, q, v, draws):
    """SCOPE-RL's intervals of one log, each argument (E, H)."""
    distribution, values = two_actions(target.ravel(), q.ravel(), v.ravel())
    arguments = {
        "step_per_trajectory": rewards.shape[1],
        "action": np.zeros(rewards.size, dtype=int),
        "reward": rewards.ravel(),
        "pscore": pscore.ravel(),
        "evaluation_policy_action_dist": distribution,
        "gamma": 1.0,
        "n_bootstrap_samples": draws,
        "random_state": 0,
    }
    for estimator in (
        TrajectoryWiseImportanceSampling(),
        PerDecisionImportanceSampling(),
        SequentialDoublyRobust(),
        SelfNormalizedTIS(),
        SelfNormalizedPDIS(),
        SelfNormalizedDR(),
    ):
        more = {"state_action_value_prediction": values} if isinstance(estimator, SequentialDoublyRobust) else {}
        for kind in ("bootstrap", "ttest"):
            found = estimator.estimate_interval(ci=kind, **arguments, **more)
            yield f"SCOPE-RL {estimator.estimator_name}, {kind}", bounds(found)


def two_actions(target, q, v):
    """Probabilities and model values of (logged, any other), (n, 2) each."""
    other = np.divide(v - target * q, 1.0 - target, out=np.zeros_like(v), where=target < 1.0)
    return np.stack([target, 1.0 - target], axis=1), np.stack([q, other], axis=1)


def bounds(found):
    """Lower and upper bound of a peer's answer."""
    return found[f"{CONFIDENCE} (lower)"], found[f"{CONFIDENCE} (upper)"]


def main():
    """Read, run, write."""
    written = {}
    with np.load(sys.argv[1]) as given:
        draws = int(given["draws"])
        groups = list(dict.fromkeys(name.rpartition("/")[0] for name in given.files if "/" in name))
        for group in groups:
            logs = [given[f"{group}/{name}"] for name in ("rewards", "target", "pscore", "q", "v")]
            rows = {}
            for log in zip(*logs, strict=True):
                found = list(sequential(*log, draws))
                if log[0].shape[1] == 1:
                    found += list(single_decision(*(part[:, 0] for part in log), draws))
                for name, interval in found:
                    rows.setdefault(name, []).append(interval)
            table = np.array(list(rows.values()))
            written[f"{group}/names"] = np.array(list(rows))
            written[f"{group}/lower"], written[f"{group}/upper"] = table[:, :, 0], table[:, :, 1]
    np.savez(sys.argv[2], **written)


if __name__ == "__main__":
    main()
