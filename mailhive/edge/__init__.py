"""What lies between a listening socket and a protocol: PROXY headers and TLS."""
