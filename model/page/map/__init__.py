"""The map: clips as dots that lie close together if their embeddings are similar, in one panel per split."""
