"""The graph from samples to embeddings and probabilities, which other programs run without this package."""
