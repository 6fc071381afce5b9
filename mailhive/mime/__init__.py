"""Messages and their parts: scanning, decoding, the forms of RFC 8621 §4.1, and building."""
