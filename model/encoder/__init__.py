"""The encoder: its settings (`config`), its input (`patches`, `masking`, `input_scale`) and its network (`vit`)."""
