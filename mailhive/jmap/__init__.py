"""JMAP (RFC 8620) and JMAP Mail (RFC 8621), without I/O."""
