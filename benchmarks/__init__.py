"""Side-by-side measurements: ``python -m benchmarks.NAME [--quick] [--json]``."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the console command does; before numpy is imported
