"""OBP's digits and synthetic set-ups with OBP's estimates; run by ``benchmarks.trust`` in the peers' environment.

in:  first and runs, the numbers of the runs
out: SETUP/RUN/context (n, D), action (n,), reward (n,), pscore (n,), target (n, A), truth (), SETUP/RUN/estimates (K,);
     SETUP/names (K,)

The set-ups are those of OBP's own examples with the commands of their READMEs: digits as a bandit by
logistic regression at .4, valued is a random forest at .9, rewards are modelled by boosted trees; synthetic with
30 actions, 10,000 rounds and inverse temperature -3, valued is an inverse-propensity-weighted learner, rewards
are modelled by logistic regression. Of Switch-DR and DRos every setting of those examples is kept, and beside
them, as "switch-dr tuned" and "dr-os tuned", the estimate at the one that OBP's tuning classes choose from the log.
"""

import sys

import numpy as np
from obp.dataset import (
    MultiClassToBanditReduction,
    SyntheticBanditDataset,
    linear_behavior_policy,
    logistic_reward_function,
)
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    InverseProbabilityWeighting,
    OffPolicyEvaluation,
    RegressionModel,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobust,
)
from obp.policy import IPWLearner
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from slope import chosen_by_slope

SEED = 12345
FOLDS = 3
SETTINGS = (10, 50, 100, 500, 1_000, 5_000, 10_000)
TUNED = (*SETTINGS, np.inf)
"""What OBP's examples give to its tuning classes; without a limit both are DR."""


def logistic():
    """The examples' logistic regression."""
    return LogisticRegression(max_iter=10_000, C=100, random_state=SEED)


def estimators():
    """All that are compared, with fresh names."""
    return [
        DirectMethod(),
        InverseProbabilityWeighting(),
        SelfNormalizedInverseProbabilityWeighting(),
        DoublyRobust(),
        SelfNormalizedDoublyRobust(),
        *(SwitchDoublyRobust(tau=float(tau), estimator_name=f"switch-dr {tau}") for tau in SETTINGS),
        *(DoublyRobustWithShrinkage(lambda_=float(each), estimator_name=f"dr-os {each}") for each in SETTINGS),
    ]


def tuned(feedback, target, modelled):
    """The estimates of Switch-DR and DRos at settings that are chosen from the log, by name."""
    arrays = {name: feedback[name] for name in ("action", "reward", "pscore")}
    arrays["position"] = np.zeros_like(feedback["action"])
    found = {}
    for name, of in (
        ("switch-dr tuned", lambda setting: SwitchDoublyRobust(tau=float(setting))),
        ("dr-os tuned", lambda setting: DoublyRobustWithShrinkage(lambda_=float(setting))),
    ):
        every = [DoublyRobust() if setting == np.inf else of(setting) for setting in TUNED]
        rewards = np.stack(
            [
                each._estimate_round_rewards(action_dist=target, estimated_rewards_by_reg_model=modelled, **arrays)
                for each in every
            ]
        )
        found[name] = rewards[chosen_by_slope(rewards)].mean()
    return found


def split_digits(run):
    """The digits of one run, those that classifiers learn from apart from those of the log."""
    pixels, labels = load_digits(return_X_y=True)
    dataset = MultiClassToBanditReduction(X=pixels, y=labels, base_classifier_b=logistic(), alpha_b=0.4)
    dataset.split_train_eval(eval_size=0.7, random_state=run)
    return dataset


def digits(run):
    """One run of the digits example: feedback, target and truth, and the model of rewards."""
    dataset = split_digits(run)
    feedback = dataset.obtain_batch_bandit_feedback(random_state=run)
    forest = RandomForestClassifier(n_estimators=30, max_depth=5, min_samples_leaf=10, random_state=SEED)
    target = dataset.obtain_action_dist_by_eval_policy(base_classifier_e=forest, alpha_e=0.9)
    truth = dataset.calc_ground_truth_policy_value(action_dist=target)
    trees = GradientBoostingClassifier(
        n_estimators=30, learning_rate=0.01, max_depth=5, min_samples_leaf=10, random_state=SEED
    )
    return feedback, target, truth, RegressionModel(n_actions=dataset.n_actions, base_model=trees)


def reversed_policy(context, action_context, random_state=None):
    """The linear softmax policy at inverse temperature -3."""
    powers = linear_behavior_policy(context, action_context, random_state) ** -3.0
    return powers / powers.sum(axis=1, keepdims=True)


def synthetic(run):
    """One run of the synthetic example."""
    dataset = SyntheticBanditDataset(
        n_actions=30,
        dim_context=5,
        reward_function=logistic_reward_function,
        behavior_policy_function=reversed_policy,
        random_state=run,
    )
    learner = IPWLearner(n_actions=dataset.n_actions, base_classifier=logistic())
    learned_from, feedback = (dataset.obtain_batch_bandit_feedback(n_rounds=10_000) for _ in range(2))
    learner.fit(**{name: learned_from[name] for name in ("context", "action", "reward", "pscore")})
    target = learner.predict_proba(context=feedback["context"])
    truth = dataset.calc_ground_truth_policy_value(feedback["expected_reward"], target)
    model = RegressionModel(n_actions=dataset.n_actions, action_context=dataset.action_context, base_model=logistic())
    return feedback, target, truth, model


def main():
    """Read, run, write."""
    written = {}
    with np.load(sys.argv[1]) as given:
        runs = range(int(given["first"]), int(given["first"]) + int(given["runs"]))
    for name, setup in (("digits", digits), ("synthetic", synthetic)):
        for number, run in enumerate(runs):
            feedback, target, truth, model = setup(run)
            modelled = model.fit_predict(
                context=feedback["context"],
                action=feedback["action"],
                reward=feedback["reward"],
                n_folds=FOLDS,
                random_state=SEED,
            )
            evaluation = OffPolicyEvaluation(bandit_feedback=feedback, ope_estimators=estimators())
            found = evaluation.estimate_policy_values(action_dist=target, estimated_rewards_by_reg_model=modelled)
            found |= tuned(feedback, target, modelled)
            written |= {f"{name}/{number}/{key}": feedback[key] for key in ("context", "action", "reward", "pscore")}
            written[f"{name}/{number}/target"] = target[:, :, 0]
            written[f"{name}/{number}/truth"] = np.array(truth)
            written[f"{name}/{number}/estimates"] = np.array(list(found.values()))
            written[f"{name}/names"] = np.array(list(found))
    np.savez(sys.argv[2], **written)


if __name__ == "__main__":
    main()
