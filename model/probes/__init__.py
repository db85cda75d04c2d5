"""Probes: shallow models that tell what a frozen representation knows, and how sure we can be of it."""
