"""Ingestion: a cluster decodes recordings to the regions of a mel store, within limits of time and memory."""
