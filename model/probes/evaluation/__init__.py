"""Evaluation of probes: metrics, confidence intervals, dummy baselines, k-NN and label efficiency."""
