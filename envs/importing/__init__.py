"""Logs from files: JSON Lines and Parquet rows, checked to the last one before anything is written.

Nothing is imported here; :func:`envs.importing.importer.import_files` is the way in.
"""
