"""The conservative DQN update: against RLlib's own loss, against hand-computed values, and under masks."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.algorithms.dqn import DQNConfig as RLlibDQNConfig
from ray.rllib.algorithms.dqn.torch.dqn_torch_learner import DQNTorchLearner
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.utils import update_target_network

from algorithms.dqn_learner import MASK, NEXT_BASE, NEXT_MASK, ConservativeDQNLearner, action_values, folded_weights
from algorithms.dqn_update import best_actions, conservative_gap, improved, next_values, q_loss, td_targets
from algorithms.policy import Network
from algorithms.steps_learner import Adam, StepsLearner, read_weights, write_weights

ROWS, ACTIONS = 64, 3


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values)


class Identity:
    """Features as they are."""

    def features(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def to_json(self) -> dict[str, Any]:
        return {}


class RLlibsOwn(StepsLearner, DQNTorchLearner):
    """RLlib's loss, without torch's own optimizer, which is slow to load."""


def learner_of(kind: type[StepsLearner], **settings: Any) -> Any:
    config = RLlibDQNConfig().training(gamma=0.9, lr=0.01, grad_clip=None, **settings)
    config.learner_config_dict = {"conservative_weight": 0.0, "margin": 0.0}
    config.rl_module(model_config={"fcnet_hiddens": [8], "fcnet_activation": "tanh", "head_fcnet_hiddens": []})
    config._learner_class = kind
    space = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return config.build_learner(spaces={DEFAULT_MODULE_ID: (space, gym.spaces.Discrete(ACTIONS))})


def batch_of(seed: int = 0) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(seed)
    columns = {
        "obs": random.normal(size=(ROWS, 4)),
        "new_obs": random.normal(size=(ROWS, 4)),
        "rewards": 3.0 * random.normal(size=ROWS),
        "terminateds": random.random(ROWS) < 0.3,
        "n_step": random.integers(1, 4, size=ROWS),
        "weights": random.random(ROWS),
    }
    batch = {name: torch.from_numpy(np.asarray(column, dtype=np.float32)) for name, column in columns.items()}
    return batch | {"actions": torch.from_numpy(random.integers(ACTIONS, size=ROWS))}


def shaken(learner: Any) -> Any:
    """The learner with a target network that differs from the learning one."""
    with torch.no_grad():
        for parameter in learner.module[DEFAULT_MODULE_ID].parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.linspace(-1.0, 1.0, parameter.numel()).view(parameter.shape)
    return learner


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize(("dueling", "kind_of_loss"), [(True, "huber"), (False, "mse")])
def test_without_penalty_it_is_rllibs_own_loss_and_gradient(double: bool, dueling: bool, kind_of_loss: str) -> None:
    losses, gradients = [], []
    for kind in (ConservativeDQNLearner, RLlibsOwn):
        settings = {"double_q": double, "dueling": dueling, "td_error_loss_fn": kind_of_loss}
        learner, batch = shaken(learner_of(kind, **settings)), batch_of()
        loss = learner.compute_loss_for_module(
            module_id=DEFAULT_MODULE_ID, config=learner.config, batch=batch, fwd_out=learner.forward(batch)
        )
        trained = [parameter for parameter in learner.only.parameters() if parameter.requires_grad]
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([each.ravel() for each in torch.autograd.grad(loss, trained)]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    np.testing.assert_allclose(gradients[0].numpy(), gradients[1].numpy(), rtol=1e-4, atol=1e-7)
    assert losses[0] > 0.1


def test_penalty_and_weights_are_the_hand_computed_ones() -> None:
    values = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    actions, targets, weights = torch.tensor([0, 2]), tensor(0.4, 5.0), tensor(0.5, 2.0)
    allowed = torch.tensor([[True, True, False], [True, True, True]])
    gaps = (
        math.log(math.exp(1.0) + math.exp(2.0)) - 1.0,
        math.log(math.exp(0.0) + math.exp(-1.0) + math.exp(3.0)) - 3.0,
    )
    loss, errors, gap = q_loss(values, actions, targets, weights=weights, allowed=allowed, conservative_weight=0.7)
    expected = (0.5 * (0.5 * 0.6**2 + 0.7 * gaps[0]) + 2.0 * (2.0 - 0.5 + 0.7 * gaps[1])) / 2.0
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    assert errors.tolist() == pytest.approx([0.6, -2.0]) and gap.tolist() == pytest.approx(gaps)


def test_the_penalty_pulls_down_what_was_not_logged() -> None:
    values = torch.zeros(1, 4, requires_grad=True)
    allowed = torch.tensor([[True, True, False, True]])
    conservative_gap(values, torch.tensor([1]), allowed).sum().backward()
    assert values.grad is not None
    assert values.grad[0].tolist() == pytest.approx([1 / 3, 1 / 3 - 1.0, 0.0, 1 / 3])


def test_targets_are_the_textbooks() -> None:
    chooser = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 1.0]])
    target = torch.tensor([[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]])
    allowed = torch.tensor([[True, False, True], [True, True, True]])
    assert next_values(chooser, target, None).tolist() == [20.0, 40.0], "double: chosen by one, valued by the other"
    assert next_values(target, target, None).tolist() == [30.0, 60.0], "plain: the maximum"
    assert next_values(chooser, target, allowed).tolist() == [30.0, 40.0]
    base = torch.tensor([[0.25, 0.0, 0.75], [0.5, 0.25, 0.25]])
    anchored = next_values(chooser, target, allowed, base=base, margin=1.5)
    assert anchored.tolist() == [0.25 * 10.0 + 0.75 * 30.0, 40.0], "a gain of 1 keeps action 0, gains of 5 and 4 move"
    y = td_targets(tensor(1.0, 2.0), tensor(0.9, 0.81), tensor(0.0, 1.0), tensor(10.0, 10.0))
    assert y.tolist() == pytest.approx([10.0, 2.0])


def test_what_is_masked_out_never_wins() -> None:
    random = np.random.default_rng(1)
    values = torch.from_numpy(random.normal(size=(500, 5)))
    allowed = torch.from_numpy(random.random((500, 5)) < 0.5)
    allowed[~allowed.any(dim=1), 0] = True
    huge = torch.where(allowed, values, 1e6)
    assert allowed.gather(1, best_actions(huge, allowed)[:, None]).all()
    moves = improved(huge, allowed, 0.0)
    moved = moves != torch.arange(5)
    assert allowed.gather(1, moves)[moved].all() and moved.any()
    assert torch.equal(next_values(huge, huge, allowed), torch.where(allowed, values, -torch.inf).max(dim=1).values)
    logged = best_actions(values, allowed)
    assert torch.equal(conservative_gap(huge, logged, allowed), conservative_gap(values, logged, allowed))
    assert (improved(torch.full((1, 5), torch.nan), None, 0.0) == torch.arange(5)).all()


def test_the_learner_reads_masks_and_base_from_the_batch() -> None:
    learner, batch = shaken(learner_of(ConservativeDQNLearner)), batch_of()
    random = np.random.default_rng(2)
    allowed = torch.from_numpy(random.random((ROWS, ACTIONS)) < 0.6)
    allowed[torch.arange(ROWS), batch["actions"]] = True
    base = torch.from_numpy(random.dirichlet(np.ones(ACTIONS), size=ROWS).astype(np.float32))
    learner.config.learner_config_dict = {"conservative_weight": 0.5, "margin": 0.1}
    out = learner.forward(batch)
    chooser, target, values = out["qf_next_preds"], out["qf_target_next_preds"], out["qf_preds"]
    full = batch | {MASK: allowed, NEXT_MASK: allowed, NEXT_BASE: base}
    found = learner.compute_loss_for_module(
        module_id=DEFAULT_MODULE_ID, config=learner.config, batch=full, fwd_out=learner.forward(full)
    )
    following = next_values(chooser, target, allowed, base=base, margin=0.1)
    y = td_targets(batch["rewards"], 0.9 ** batch["n_step"], batch["terminateds"], following)
    expected, *_ = q_loss(
        values, batch["actions"], y, weights=batch["weights"], allowed=allowed, conservative_weight=0.5
    )
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_many_steps_are_the_textbooks_adam_with_target_copies() -> None:
    learner = learner_of(ConservativeDQNLearner, target_network_update_freq=3)
    figures = learner.take_steps(batch_of(seed) for seed in range(7))
    other = learner_of(RLlibsOwn)
    module, losses = other.only, []
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    first, second = ([torch.zeros_like(each) for each in trained] for _ in range(2))
    for step in range(1, 8):
        batch = batch_of(step - 1)
        loss = other.compute_loss_for_module(
            module_id=DEFAULT_MODULE_ID, config=other.config, batch=batch, fwd_out=module.forward_train(batch)
        )
        losses.append(float(loss.detach()))
        with torch.no_grad():
            for each, gradient, mean, square in zip(
                trained, torch.autograd.grad(loss, trained), first, second, strict=True
            ):
                mean.copy_(0.9 * mean + 0.1 * gradient)
                square.copy_(0.999 * square + 0.001 * gradient**2)
                each -= 0.01 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        if step % 3 == 0:
            for main, target in module.get_target_network_pairs():
                update_target_network(main_net=main, target_net=target, tau=1.0)
    for mine, theirs in zip(learner.only.parameters(), module.parameters(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert figures["loss"] == pytest.approx(np.mean(losses), rel=1e-5) and learner.steps == 7


def test_state_moves_to_another_learner_bit_for_bit() -> None:
    learner, copy = learner_of(ConservativeDQNLearner), shaken(learner_of(ConservativeDQNLearner))
    learner.take_steps(batch_of(seed) for seed in range(3))
    copy.set_plain_state(learner.plain_state())
    again = learner_of(ConservativeDQNLearner)
    again.set_state(learner.get_state())  # RLlib's own way
    again.steps = learner.steps
    for each in (learner, copy, again):
        each.take_steps(batch_of(seed) for seed in range(3, 6))
    for other in (copy, again):
        for mine, theirs in zip(learner.only.parameters(), other.only.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_a_parameter_without_gradient_stays() -> None:
    moving, still = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = Adam([moving, still], 0.1)
    moving.sum().backward()
    optimizer.step()
    assert moving.tolist() == pytest.approx([0.9, 0.9])
    assert still.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dueling", [True, False])
def test_heads_fold_into_one_plain_network(dueling: bool) -> None:
    module = shaken(learner_of(ConservativeDQNLearner, dueling=dueling)).only
    features = np.random.default_rng(3).normal(size=(200, 4))
    network = Network(Identity(), folded_weights(module, centre=-7.0, scale=2.5))
    np.testing.assert_allclose(network.logits(features), 2.5 * action_values(module, features) - 7.0, atol=1e-12)


def test_weights_of_one_network_start_another() -> None:
    source, target = shaken(learner_of(ConservativeDQNLearner)).only, learner_of(ConservativeDQNLearner).only
    write_weights(read_weights(source.encoder, source.af), target.encoder, target.af)
    copied, given = (read_weights(each.encoder, each.af) for each in (target, source))
    for mine, theirs in zip(copied, given, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])
    with pytest.raises(ValueError, match="do not fit"):
        write_weights(read_weights(source.encoder), target.af)
