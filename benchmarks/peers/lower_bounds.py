"""Lower bounds by OBP and SCOPE-RL of given policies on given logs; run by ``benchmarks.sealed`` beside the peers.

in:  draws, the number of bootstrap draws, and for each log LOG/rewards and LOG/pscore (E, H), LOG/target
     (probability of the logged action), LOG/q and LOG/v (P, E, H); the first policy is the champion, which wrote it
out: for the P - 1 others, LOG/obp, the lower end of Student's 95 % interval of OBP's doubly robust rounds less the
     champion's (NaN beyond one decision), and LOG/scope, that of SCOPE-RL's doubly robust bootstrap interval less
     the mean return of the log
"""

import sys

import numpy as np
from intervals import CONFIDENCE, two_actions
from obp.ope import DoublyRobust
from scipy import stats
from scope_rl.ope.discrete.basic_estimators import DoublyRobust as SequentialDoublyRobust


def by_obp(rewards, pscore, target, q, v):
    """Bounds (P - 1,) of one log of single decisions, arguments (E,) and (P, E)."""
    rounds = []
    for arguments in zip(target, q, v, strict=True):
        distribution, values = two_actions(*arguments)
        rounds.append(
            DoublyRobust()._estimate_round_rewards(
                reward=rewards,
                action=np.zeros(len(rewards), dtype=int),
                pscore=pscore,
                action_dist=distribution[:, :, None],
                estimated_rewards_by_reg_model=values[:, :, None],
                position=np.zeros(len(rewards), dtype=int),
            )
        )
    differences = np.array(rounds[1:]) - rounds[0]
    error = differences.std(axis=1, ddof=1) / np.sqrt(len(rewards))
    return differences.mean(axis=1) - stats.t.ppf(0.975, len(rewards) - 1) * error


def by_scope_rl(rewards, pscore, target, q, v, draws):
    """Bounds (P - 1,) of one log, arguments (E, H) and (P, E, H)."""
    found = []
    for arguments in zip(target[1:], q[1:], v[1:], strict=True):
        distribution, values = two_actions(*(argument.ravel() for argument in arguments))
        interval = SequentialDoublyRobust().estimate_interval(
            step_per_trajectory=rewards.shape[1],
            action=np.zeros(rewards.size, dtype=int),
            reward=rewards.ravel(),
            pscore=pscore.ravel(),
            evaluation_policy_action_dist=distribution,
            state_action_value_prediction=values,
            gamma=1.0,
            ci="bootstrap",
            n_bootstrap_samples=draws,
            random_state=0,
        )
        found.append(interval[f"{CONFIDENCE} (lower)"])
    return np.array(found) - rewards.sum(axis=1).mean()


def main():
    """Read, run, write."""
    written = {}
    with np.load(sys.argv[1]) as given:
        draws = int(given["draws"])
        for log in dict.fromkeys(name.rpartition("/")[0] for name in given.files if "/" in name):
            parts = [given[f"{log}/{name}"] for name in ("rewards", "pscore", "target", "q", "v")]
            single = parts[0].shape[1] == 1
            missing = np.full(len(parts[2]) - 1, np.nan)
            written[f"{log}/obp"] = by_obp(*(part[..., 0] for part in parts)) if single else missing
            written[f"{log}/scope"] = by_scope_rl(*parts, draws)
    np.savez(sys.argv[2], **written)


if __name__ == "__main__":
    main()
