"""The three jobs and the demo as short programs on the Python API."""
