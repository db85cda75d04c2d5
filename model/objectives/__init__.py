"""The objectives of training, on one rank or several, and the alignment and uniformity of embeddings."""
