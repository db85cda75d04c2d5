"""Ingestion: recordings become regions of a mel store, on a cluster, under limits of time and memory."""
