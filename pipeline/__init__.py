"""Stage one: any music collection becomes a mel store, and a mel store becomes WebDataset shards."""
