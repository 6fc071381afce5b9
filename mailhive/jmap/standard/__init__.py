"""The standard methods (RFC 8620 §5), driven by a datatype's declaration."""
