"""The gate's statistics: pure functions of numbers, without a file, a clock or a random state.

Start at :func:`tune_configs.gate.decision.decide`.
"""
