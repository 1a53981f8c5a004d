"""The calibration of every number that evaluation and gate print, on worlds whose truth is known."""
