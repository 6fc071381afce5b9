"""Judging where mail comes from.  Without I/O: to wait is to await the resolver passed in."""
