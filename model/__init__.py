"""Stages two and three: shards become a trained encoder, an encoder embeds collections, probes score embeddings."""

from model.training.checkpoint import load_encoder

__all__ = ["load_encoder"]
