"""The encoder: what it is (`config`), what it sees (`patches`, `masking`, `input_scale`), what it computes (`vit`)."""
