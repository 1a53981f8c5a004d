"""Ten solvers and the tasks they are given: who can do what, how well, how fast and at what price.

All tables are (category, solver) or (solver,) in the order of :data:`CATEGORIES` and :data:`SOLVERS`;
they are assumptions of the testbed, not measurements.
"""

from __future__ import annotations

import numpy as np

CATEGORIES = ("code", "data", "legal", "support", "translation", "research")
SOLVERS = (
    "rule_engine",
    "small_model",
    "medium_model",
    "large_model",
    "code_agent",
    "data_agent",
    "search_agent",
    "translator",
    "reviewer",
    "human_expert",
)
HUMAN = SOLVERS.index("human_expert")

SKILL = np.array(
    [
        # rules, small, medium, large, code, data, search, translator, reviewer, human
        [0.15, 0.35, 0.50, 0.72, 0.92, 0.60, 0.30, 0.10, 0.55, 0.85],  # code
        [0.40, 0.30, 0.45, 0.65, 0.65, 0.92, 0.50, 0.10, 0.40, 0.80],  # data
        [0.20, 0.20, 0.40, 0.62, 0.10, 0.20, 0.55, 0.45, 0.88, 0.92],  # legal
        [0.65, 0.60, 0.68, 0.75, 0.30, 0.30, 0.60, 0.55, 0.60, 0.90],  # support
        [0.10, 0.50, 0.62, 0.76, 0.10, 0.10, 0.30, 0.94, 0.60, 0.75],  # translation
        [0.10, 0.25, 0.42, 0.70, 0.40, 0.60, 0.90, 0.30, 0.60, 0.85],  # research
    ]
)
CAPABLE = np.array(
    [
        [0, 1, 1, 1, 1, 1, 0, 0, 1, 1],  # code
        [1, 0, 1, 1, 1, 1, 1, 0, 0, 1],  # data
        [0, 0, 1, 1, 0, 0, 1, 1, 1, 1],  # legal
        [1, 1, 1, 1, 0, 0, 1, 0, 1, 1],  # support
        [0, 1, 1, 1, 0, 0, 0, 1, 1, 1],  # translation
        [0, 0, 1, 1, 0, 1, 1, 0, 1, 1],  # research
    ],
    dtype=bool,
)
"""Which solver accepts a category at all."""
CLEARED = np.array([1, 0, 0, 1, 1, 1, 0, 1, 1, 1], dtype=bool)
"""Which solver may see a confidential task."""
TOOLS = np.array([1, 0, 1, 1, 1, 1, 1, 0, 0, 1], dtype=bool)
"""Which solver can use the tools that some tasks need."""
SPEED = np.array([4.0, 3.0, 2.5, 1.6, 1.8, 1.8, 1.5, 2.2, 1.2, 0.7])
"""Hours of task size done per hour."""
PRICE = np.array([0.01, 0.03, 0.06, 0.16, 0.12, 0.12, 0.10, 0.08, 0.20, 0.45])
"""Price per hour of task size, in the unit of the reward."""
CATEGORY_SHARES = np.array([0.22, 0.18, 0.10, 0.25, 0.12, 0.13])
SIZE = np.array([1.2, 1.0, 1.4, 0.5, 0.7, 1.5])
"""Median size of a category's task, hours."""
