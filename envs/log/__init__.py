"""The decision log behind the journal: late outcomes, and the sealed table that journal rows move to.

Nothing is imported here: :mod:`envs.journal` reads ``envs.log.outcome`` in production, where neither
pyarrow nor deltalake need be installed.
"""
