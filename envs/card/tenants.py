"""Do tenants that are pooled get different rewards for the same action in the same situation?"""

from __future__ import annotations

import numpy as np

from envs.behavior import unit_folds
from envs.card.blocks import LEVEL, time_order
from envs.card.findings import Finding
from envs.dataset import Dataset
from envs.encoding.features import StandardFeatures

CHUNKS = 8
"""Parts of consecutive episodes into which each tenant's log is cut: what is shuffled among tenants."""
EPISODES_OF_A_CHUNK = 4
LEAST_CHUNKS = 12
MOST_TENANTS = 50
LEAST_SPREAD = 0.3
"""Standard deviation of the tenants' means, in standard deviations of what the situation leaves open."""
PERMUTATIONS = 10_000
AT_ONCE = 500
MOST_DECISIONS = 20_000
KNOTS = (-0.5, 0.0, 0.5)
FOLDS = 2


def mixed_tenants(dataset: Dataset) -> Finding | None:
    """Tenants whose rewards differ although action and observation are the same: something that tells them apart lacks.

    What each decision earned beyond what its observation and action foretell is averaged over parts of each tenant's
    log, and the spread of tenants is compared with that after dealing these parts to tenants at random.
    """
    dataset = _thinned(dataset)
    order, _ = time_order(dataset)
    parts_of_names = [unit.partition("/") for unit in dataset.units.tolist()]
    if dataset.specification.unit != "tenant" and not all(slash for _, slash, _ in parts_of_names):
        return None  # not named by envs.splits: whose they are is not known
    names = np.array([name for name, _, _ in parts_of_names])
    tenants, tenant, sizes = np.unique(names, return_inverse=True, return_counts=True)
    if not 2 <= len(tenants) <= MOST_TENANTS or len(np.unique(dataset.units)) < 2:
        return None
    place = np.empty(len(order), dtype=np.int64)  # of each episode among its tenant's, in the order of time
    for number in range(len(tenants)):
        own = order[tenant[order] == number]
        place[own] = np.arange(len(own))
    parts = np.clip(sizes // EPISODES_OF_A_CHUNK, 1, CHUNKS)[tenant]
    chunk = tenant * CHUNKS + place * parts // sizes[tenant]
    left = _unexplained(dataset)
    taken = np.eye(len(dataset.specification.actions))[dataset.actions]
    means, of_tenant = _chunk_means(left, taken, chunk[dataset.episode_index])
    if len(means) < LEAST_CHUNKS or float(left.std()) <= 1e-9 * float(np.abs(dataset.rewards).max(initial=0.0)):
        return None
    spread, column, chance = _compared(means, of_tenant, float(left.std()))
    if not chance < LEVEL or spread < LEAST_SPREAD:
        return None
    action = "any action" if column == 0 else str(dataset.specification.actions[column - 1])
    return Finding(
        "mixed_tenants",
        "warning",
        f"{len(tenants)} tenants get different rewards for {action} in the same situation: their means spread by "
        f"{spread:.1f} standard deviations of what the observation leaves open",
        "one policy is learned for all of them, and is wrong for each",
        "put what tells tenants apart into the observation, or give each tenant an agent of its own",
    )


def _unexplained(dataset: Dataset) -> np.ndarray:
    """Rewards less what observation and action foretell, learned on other units, float64 (N,)."""
    rows = dataset.observations[dataset.rows]
    features = np.nan_to_num(StandardFeatures.fit(rows, dataset.specification.observation).features(rows))
    bends = np.maximum(features[:, :, None] - np.array(KNOTS), 0.0).reshape(len(features), -1)
    own = np.concatenate([np.ones((len(features), 1)), features, bends], axis=1)
    taken = np.eye(len(dataset.specification.actions))[dataset.actions]
    known = (own[:, :, None] * taken[:, None, :]).reshape(len(own), -1)
    left = np.empty(len(own))
    fold = unit_folds(dataset.units, FOLDS)[dataset.episode_index]
    for number in range(FOLDS):
        inside = fold == number
        gram = known[~inside].T @ known[~inside]
        gram[np.diag_indices_from(gram)] += 1.0
        left[inside] = dataset.rewards[inside] - known[inside] @ np.linalg.solve(
            gram, known[~inside].T @ dataset.rewards[~inside]
        )
    return left


def _chunk_means(left: np.ndarray, taken: np.ndarray, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of each part over all actions and over each, float64 (C, 1 + A), and the tenant of each part, int64 (C,).

    A part without an action has the mean of all parts there.
    """
    codes, part = np.unique(chunk, return_inverse=True)
    weights = np.concatenate([np.ones((len(left), 1)), taken], axis=1)
    counts = np.stack([np.bincount(part, weights=column) for column in weights.T], axis=1)
    sums = np.stack([np.bincount(part, weights=column * left) for column in weights.T], axis=1)
    overall = sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1.0)
    return np.where(counts > 0.0, sums / np.maximum(counts, 1.0), overall) - overall, codes // CHUNKS


def _compared(means: np.ndarray, tenant: np.ndarray, deviation: float) -> tuple[float, int, float]:
    """The tenants' spread beyond chance in standard deviations, of which column, and its p-value."""
    _, number, sizes = np.unique(tenant, return_inverse=True, return_counts=True)
    average = np.eye(len(sizes))[number].T / sizes[:, None]
    scale = np.maximum((means**2).sum(axis=0), 1e-300)

    def explained(values: np.ndarray) -> np.ndarray:
        return np.asarray((sizes[:, None] * (average @ values) ** 2).sum(axis=-2) / scale)

    shares = explained(means)
    column = int(shares.argmax())
    exceeding, done = 1, 1
    random = np.random.default_rng(0)
    while done <= PERMUTATIONS and exceeding < 20:
        orders = random.permuted(np.tile(np.arange(len(means)), (AT_ONCE, 1)), axis=1)
        exceeding += int((explained(means[orders]).max(axis=1) >= shares[column]).sum())
        done += AT_ONCE
    within = means[:, column] - (average @ means[:, column])[number]
    freedom = max(len(means) - len(sizes), 1)
    chance = float((within**2).sum()) / freedom / float(sizes.mean())
    spread = max(float((average @ means[:, column]).var()) - chance, 0.0) ** 0.5
    return spread / deviation, column, exceeding / done


def _thinned(dataset: Dataset) -> Dataset:
    every = -(-len(dataset) // MOST_DECISIONS)
    return dataset if every <= 1 else dataset.select_episodes(np.arange(0, dataset.episode_count, every))
