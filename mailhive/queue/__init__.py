"""Messages on their way out: the embedded outbox, and the way to recipients of this server."""
