"""SMTP (RFC 5321): the protocol machine, and the listener that gives it a network."""
