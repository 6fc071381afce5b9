"""Plain frozen types that every layer shares.  No I/O and no policy."""
