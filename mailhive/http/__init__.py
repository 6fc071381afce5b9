"""The HTTP side of JMAP (RFC 8620 §2, §3, §6): connections, bodies, routes."""
