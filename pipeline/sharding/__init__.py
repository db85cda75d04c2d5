"""Sharding: the written clips of a mel store become WebDataset shards."""
