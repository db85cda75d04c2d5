"""Verification and repair of mel stores and shard sets."""
