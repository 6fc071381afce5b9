"""What can be wrong with a data directory, told to the person who runs the daemon."""

from mailhive.errors import MailhiveError

__all__ = ["DataDirectoryInUse", "SchemaError"]


class DataDirectoryInUse(MailhiveError):
    """Another process has the data directory open."""


class SchemaError(MailhiveError):
    """A file is not one of ours, or was written by a newer mailhive."""
