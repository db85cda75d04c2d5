"""Search in a store of embeddings: nearest neighbors, playlists, paths between tracks, and near-duplicates."""
