"""Requests to other servers: an HTTP client with limits, and a guard against forged ones."""
