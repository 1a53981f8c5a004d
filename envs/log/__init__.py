"""The sealed decision log: the table that journal rows move to, and the readers that join the two.

Nothing is imported here: it needs pyarrow and deltalake, which an agent in production need not have.
"""
