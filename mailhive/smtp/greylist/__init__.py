"""Greylisting: strangers are asked to come back (RFC 6647)."""
