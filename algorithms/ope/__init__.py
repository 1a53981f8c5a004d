"""Off-policy estimators: the value of a policy from the log of another, with an interval or a refusal.

One file per estimator, all with one signature (:mod:`algorithms.ope.registry`). numpy and
``scipy.stats`` only, float64, weights in log space. Needs the extra ``train`` (scipy).
"""
