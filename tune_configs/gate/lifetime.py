"""The error probability that all gates of an agent may spend together; alone here, for ``status`` needs no scipy."""

LIFETIME_ALPHA = 0.05
