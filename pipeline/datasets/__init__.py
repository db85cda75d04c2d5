"""One module per dataset. Each turns audio and metadata on this machine into a `Listing` of `Track`s."""
