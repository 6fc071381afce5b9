"""Push: what changed, told to those who are connected."""
