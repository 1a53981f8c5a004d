"""What OBP's set-ups know of the actions that were not logged; run by ``benchmarks.trust`` in the peers' environment.

in:  first and runs, the numbers of the runs
out: SETUP/RUN/context (n, D), action (n,), reward (n,), pscore (n,), target (n, A), truth (), as of ``bandit_setups``,
     and beside them logged (n, A), the probabilities that the actions were drawn with, expected (n, A), the expected
     rewards, and modelled (n, A), OBP's model of them
"""

import sys

import numpy as np
from bandit_setups import FOLDS, SEED, digits, reversed_policy, split_digits, synthetic
from sklearn.base import clone


def of_digits(run, feedback):
    """Probabilities and expected rewards of all actions on digits, (n, A) each: 1 for the right class, else 0."""
    dataset = split_digits(run)
    classifier = clone(dataset.base_classifier_b).fit(dataset.X_tr, dataset.y_tr)
    predicted = classifier.predict(dataset.X_ev).astype(int)
    share = dataset.alpha_b
    logged = share * np.eye(dataset.n_actions)[predicted] + (1.0 - share) / dataset.n_actions
    return logged, dataset.y_full_ev


def of_synthetic(run, feedback):
    """Probabilities and expected rewards of all actions of the synthetic set-up, (n, A) each."""
    return reversed_policy(feedback["context"], feedback["action_context"], run), feedback["expected_reward"]


def main():
    """Read, run, write."""
    written = {}
    with np.load(sys.argv[1]) as given:
        runs = range(int(given["first"]), int(given["first"]) + int(given["runs"]))
    for name, setup, known in (("digits", digits, of_digits), ("synthetic", synthetic, of_synthetic)):
        for number, run in enumerate(runs):
            feedback, target, truth, model = setup(run)
            logged, expected = known(run, feedback)
            if not np.allclose(logged[np.arange(len(logged)), feedback["action"]], feedback["pscore"]):
                raise ValueError(f"run {run} of {name}: not the policy that drew the log")
            if not np.isclose((target[:, :, 0] * expected).sum(axis=1).mean(), truth):
                raise ValueError(f"run {run} of {name}: not the rewards that the truth was made of")
            read = ("context", "action", "reward", "pscore")
            modelled = model.fit_predict(
                **{key: feedback[key] for key in read if key != "pscore"}, n_folds=FOLDS, random_state=SEED
            )
            written |= {f"{name}/{number}/{key}": feedback[key] for key in read}
            written |= {
                f"{name}/{number}/target": target[:, :, 0],
                f"{name}/{number}/truth": np.array(truth),
                f"{name}/{number}/logged": logged,
                f"{name}/{number}/expected": expected,
                f"{name}/{number}/modelled": modelled[:, :, 0],
            }
    np.savez(sys.argv[2], **written)


if __name__ == "__main__":
    main()
