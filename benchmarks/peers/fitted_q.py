"""Fitted Q evaluation of d3rlpy and SCOPE-RL on given logs; run by ``benchmarks.trust`` in the peers' environment.

in:  updates, and for each log LOG/states, LOG/actions, LOG/rewards, LOG/active, LOG/pscore (E, H),
     LOG/policies (P, O, A) over the states' numbers, and LOG/asked bool (P,)
out: LOG/d3rlpy (P,), value of the first states by d3rlpy's FQE with d3rlpy's network, NaN where not asked for;
     LOG/names (K,) and LOG/scope (K, P), SCOPE-RL's estimators with SCOPE-RL's FQE

SCOPE-RL's FQE is d3rlpy's with one hidden layer of 100; d3rlpy's own network is larger. What is chosen for both,
so that they do not suffer from our logs: the decision's number stands in the observation, since neither
knows of a horizon; the horizon is a termination; the discount is 1; next actions are drawn from the
policy, since d3rlpy asks for a greedy one's; and a tenth of SCOPE-RL's 10,000 updates is made at ten
times the learning rate, with as many renewals of the target network.
"""

import sys

import d3rlpy
import numpy as np
import torch
from d3rlpy.models.encoders import VectorEncoderFactory
from d3rlpy.ope import DiscreteFQE, FQEConfig
from scope_rl.ope.discrete.basic_estimators import (
    DirectMethod,
    DoublyRobust,
    PerDecisionImportanceSampling,
    SelfNormalizedDR,
    SelfNormalizedPDIS,
    SelfNormalizedTIS,
    TrajectoryWiseImportanceSampling,
)

HIDDEN = {"d3rlpy": [256, 256], "scope": [100]}
LEARNING_RATE = 1e-3
RENEWALS = 100


class Drawn:
    """A policy in the place of a d3rlpy algorithm: its next actions are drawn."""

    def __init__(self, table):
        self.table = torch.as_tensor(table, dtype=torch.float32)
        self.impl = self

    def predict_best_action(self, observations):
        """One action per observation."""
        states = observations[:, : len(self.table)].argmax(dim=1)
        return torch.multinomial(self.table[states], 1)[:, 0]


def encoded(states, count, horizon):
    """One-hot states with the share of the horizon that is over, (E, H, count + 1)."""
    found = np.zeros((*states.shape, count + 1), dtype=np.float32)
    np.put_along_axis(found, states[:, :, None], 1.0, axis=2)
    found[:, :, count] = np.arange(states.shape[1]) / horizon
    return found


def fitted_values(kind, dataset, table, observations, updates):
    """Q of all actions at all observations (N, A)."""
    d3rlpy.seed(0)
    config = FQEConfig(
        gamma=1.0,
        learning_rate=LEARNING_RATE,
        target_update_interval=max(1, updates // RENEWALS),
        encoder_factory=VectorEncoderFactory(hidden_units=HIDDEN[kind]),
    )
    fqe = DiscreteFQE(algo=Drawn(table), config=config)
    fqe.fit(
        dataset,
        n_steps=updates,
        n_steps_per_epoch=updates,
        show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )
    count = table.shape[1]
    values = [fqe.predict_value(observations, np.full((len(observations), 1), action)) for action in range(count)]
    return np.stack(values, axis=1)


def scope_values(rewards, actions, pscore, distribution, values, first):
    """SCOPE-RL's estimates by name."""
    arguments = {
        "step_per_trajectory": rewards.shape[1],
        "action": actions.ravel(),
        "reward": rewards.ravel(),
        "pscore": pscore.ravel(),
        "evaluation_policy_action_dist": distribution,
        "gamma": 1.0,
        "state_action_value_prediction": values,
        "initial_state_value_prediction": first,
    }
    for estimator in (
        DirectMethod(),
        TrajectoryWiseImportanceSampling(),
        PerDecisionImportanceSampling(),
        DoublyRobust(),
        SelfNormalizedTIS(),
        SelfNormalizedPDIS(),
        SelfNormalizedDR(),
    ):
        yield estimator.estimator_name, float(estimator.estimate_policy_value(**arguments))


def valued(states, actions, rewards, active, pscore, policies, asked, updates):
    """All estimates of all policies on one log."""
    horizon, (_, count, choices) = states.shape[1], policies.shape
    observations = encoded(states, count, horizon)
    last = np.cumsum(active, axis=1) == active.sum(axis=1, keepdims=True)
    dataset = d3rlpy.dataset.MDPDataset(
        observations[active],
        actions[active][:, None],
        rewards[active].astype(np.float32)[:, None],
        (last & active)[active].astype(np.float32),
    )
    by_d3rlpy, names, by_scope = [], [], []
    for table, wanted in zip(policies, asked, strict=True):
        chosen = table[states]  # (E, H, A)
        by_d3rlpy.append(float("nan"))
        if wanted:
            first = fitted_values("d3rlpy", dataset, table, observations[:, 0], updates)
            by_d3rlpy[-1] = float((first * chosen[:, 0]).sum(axis=1).mean())
        values = np.zeros((*states.shape, choices))
        values[active] = fitted_values("scope", dataset, table, observations[active], updates)
        # SCOPE-RL knows trajectories of one length only: after its end an episode goes on at weight 1 and reward 0.
        taken = np.eye(choices)[actions]
        distribution = np.where(active[:, :, None], chosen, taken).reshape(-1, choices)
        initial = (values[:, 0] * chosen[:, 0]).sum(axis=1)
        found = dict(
            scope_values(
                np.where(active, rewards, 0.0),
                actions,
                np.where(active, pscore, 1.0),
                distribution,
                values.reshape(-1, choices),
                initial,
            )
        )
        names = list(found)
        by_scope.append(list(found.values()))
    return {"d3rlpy": np.array(by_d3rlpy), "names": np.array(names), "scope": np.array(by_scope).T}


def main():
    """Read, run, write."""
    torch.set_num_threads(1)
    written = {}
    with np.load(sys.argv[1]) as given:
        updates = int(given["updates"])
        logs = list(dict.fromkeys(name.rpartition("/")[0] for name in given.files if "/" in name))
        for log in logs:
            parts = ("states", "actions", "rewards", "active", "pscore", "policies", "asked")
            found = valued(*(given[f"{log}/{part}"] for part in parts), updates)
            written |= {f"{log}/{name}": values for name, values in found.items()}
    np.savez(sys.argv[2], **written)


if __name__ == "__main__":
    main()
