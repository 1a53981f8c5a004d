"""Exact state distributions of a small world, step by step."""

import numpy as np


def visits(world, policy):
    """Chance of each state at each step, the episode still running; float64 (H, S)."""
    found = [world.start]
    for _ in range(world.horizon - 1):
        flow = found[-1][:, None] * policy * (1.0 - world.end)
        found.append(np.einsum("sa,sax->x", flow, world.move))
    return np.array(found)


def state_ratios(world, behaviour, target):
    """d^π_t / d^b_t, float64 (H, S); 0 where neither ever is."""
    ours, theirs = visits(world, target), visits(world, behaviour)
    return np.divide(ours, theirs, out=np.zeros_like(ours), where=theirs > 0)
