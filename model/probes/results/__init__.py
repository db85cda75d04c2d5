"""Results of probes: scores on disk, text tables, averages, saved probes and predictions."""
