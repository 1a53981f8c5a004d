"""Search spaces, schedulers, per-agent defaults, the trial, and the gate's statistics."""
