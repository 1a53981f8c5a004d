"""What breaks in a small service graph, how it looks from outside, and what each repair does to it.

``gateway`` calls ``catalog`` and ``checkout``, which both call ``database``. An incident has one hidden
cause in one service. All tables are (cause, action) or (cause,) in the order of :data:`CAUSES` and
:data:`ACTIONS`; they are assumptions of the testbed, not measurements.
"""

from __future__ import annotations

import numpy as np

CAUSES = ("leak", "crash_loop", "bad_deploy", "dependency_outage", "full_disk", "noisy_neighbour")
ACTIONS = (
    "restart_service",
    "rollback_deploy",
    "scale_out",
    "clear_cache",
    "failover",
    "free_disk",
    "escalate_to_human",
    "wait",
)
ESCALATE = ACTIONS.index("escalate_to_human")
SERVICES = ("gateway", "catalog", "checkout", "database")
TRAFFIC = np.array([1.0, 0.6, 0.5, 0.9])
"""Share of the users' requests that need the service, directly or through a caller."""
CALLERS = np.array([0.0, 1.0, 1.0, 2.0])
"""Services that call it: the second place where an incident is seen."""

CAUSE_SHARES = np.array(
    [
        # leak, crash loop, bad deploy, dependency outage, full disk, noisy neighbour
        [0.15, 0.15, 0.25, 0.25, 0.05, 0.15],  # gateway
        [0.20, 0.20, 0.20, 0.20, 0.05, 0.15],  # catalog
        [0.15, 0.20, 0.25, 0.20, 0.05, 0.15],  # checkout
        [0.15, 0.20, 0.15, 0.00, 0.30, 0.20],  # database: calls nothing, so nothing it depends on can fail
    ]
)
RESOLVES = np.array(
    [
        # restart, rollback, scale, clear, failover, free, escalate, wait: probability that it ends the incident
        [0.80, 0.20, 0.05, 0.25, 0.30, 0.00, 1.00, 0.00],
        [0.30, 0.15, 0.00, 0.75, 0.15, 0.05, 1.00, 0.03],
        [0.05, 0.90, 0.00, 0.05, 0.05, 0.00, 1.00, 0.00],
        [0.12, 0.05, 0.00, 0.05, 0.80, 0.00, 1.00, 0.12],
        [0.05, 0.05, 0.05, 0.15, 0.05, 0.90, 1.00, 0.00],
        [0.10, 0.00, 0.75, 0.00, 0.50, 0.00, 1.00, 0.12],
    ]
)
WORSENS = np.array(
    [
        # what a failed repair adds to the severity, beside the drift
        [0.00, 0.06, 0.00, 0.03, 0.05, 0.02, 0.00, 0.00],
        [0.08, 0.06, 0.05, 0.00, 0.06, 0.02, 0.00, 0.00],
        [0.06, 0.00, 0.05, 0.08, 0.12, 0.02, 0.00, 0.00],  # failover carries the bad deploy along
        [0.08, 0.08, 0.15, 0.20, 0.00, 0.02, 0.00, 0.00],  # scaling out or a cold cache loads the dependency more
        [0.10, 0.12, 0.06, 0.02, 0.12, 0.00, 0.00, 0.00],
        [0.06, 0.06, 0.00, 0.15, 0.02, 0.02, 0.00, 0.00],
    ]
)
DRIFT = np.array([0.06, 0.04, 0.02, 0.02, 0.07, 0.01])
"""What an interval without repair adds to the severity."""
COSTS = np.array([0.10, 0.20, 0.20, 0.10, 0.30, 0.08, 0.00, 0.00])

# How a cause at severity 1 shows; a symptom is base + severity * effect, then noise.
MEMORY_SLOPE = np.array([4.0, 0.2, 0.5, 0.2, 0.0, 0.2])
RESTARTS = np.array([0.8, 4.5, 1.0, 0.2, 0.5, 0.1])
ERROR_RATE = np.array([0.20, 0.60, 0.60, 0.55, 0.45, 0.15])
LATENCY = np.array([1.2, 0.5, 0.6, 2.0, 0.7, 2.2])
CPU_USAGE = np.array([0.15, 0.20, 0.15, -0.15, 0.0, 0.35])
CPU_STEAL = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.35])
DEPENDENCY_ERRORS = np.array([0.02, 0.03, 0.03, 0.60, 0.02, 0.03])
RECENT_DEPLOY = np.array([0.20, 0.35, 1.00, 0.15, 0.10, 0.15])
"""Share of incidents that follow a deploy of the last two hours, to blame or not."""
