"""Decisions: the record and its durable log, agent specifications, datasets and offline environments.

Nothing is imported here: ``envs.record`` and ``envs.journal`` must stay light enough for an agent in production.
"""
