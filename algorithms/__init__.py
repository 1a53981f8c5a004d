"""Learning algorithms, off-policy estimators and the policy artefact."""
