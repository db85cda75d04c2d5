"""The contract between the stages: what lies on disk, and the only code that reads or writes it."""
