"""Probes: shallow models that measure what information frozen features contain, with confidence intervals."""
