"""An encoder over a whole mel store: windows, batches, one embedding per clip; and what it is compared with."""
