"""One file per dataset; each turns what people have on disk into `Track` rows."""
