"""The report: figures of a run and its scores, and the one self-contained page that holds them."""
