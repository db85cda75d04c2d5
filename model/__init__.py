"""Stages two and three: shards become a trained encoder, the encoder turns mels into embeddings, probes score them."""
