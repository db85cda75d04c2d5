"""Comparison of representations on whole recordings: retrieval, albums from few labels, and robustness."""
