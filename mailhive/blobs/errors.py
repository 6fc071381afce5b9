"""Errors of the blob stores that are not in the interface."""

from mailhive.errors import MailhiveError

__all__ = ["BlobStoreUnusable"]


class BlobStoreUnusable(MailhiveError):
    """The store cannot be opened; the text says why and what to do about it."""
