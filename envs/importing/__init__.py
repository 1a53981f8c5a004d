"""Logs from elsewhere: rows of any format, checked to the last one before anything is written.

Nothing is imported here; :func:`envs.importing.importer.import_files` is the way in.
"""
