"""Worlds that are drawn from a seed, and the pipeline's whole life in them: ``python -m benchmarks.sealed_worlds``."""
