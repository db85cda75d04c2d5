"""Inference: the computation of features from mel stores and audio, by encoders and by baselines."""
