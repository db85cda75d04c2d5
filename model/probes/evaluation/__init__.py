"""Evaluation of probes: metrics, confidence intervals, dummy baselines, nearest neighbors."""
