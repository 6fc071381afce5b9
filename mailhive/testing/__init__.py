"""In-memory providers and protocol clients, for tests and for authors of clients."""
