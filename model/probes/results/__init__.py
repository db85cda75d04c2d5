"""Results of probes: files of scores, text tables, averages, winning probes and predictions."""
