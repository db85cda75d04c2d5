"""Operations over all pairs of views for contrastive losses, one per file, each beside a reference in plain PyTorch."""
