"""Logs to files of other tools: Parquet with our own fields, and Minari's data sets.

Nothing is imported here: :func:`envs.exporting.parquet.export_parquet` and
:func:`envs.exporting.minari.export_minari` are the ways out. Both read the log twice or put it in order on the disk,
and hold some thousand decisions at a time.
"""
