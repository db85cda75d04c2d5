"""Verification: mel stores and shard sets are checked, repaired, and drawn for a look at their content."""
