"""Sharding: the training clips of a mel store become WebDataset shards."""
