"""What can be wrong with a data directory, told to the person who runs the daemon."""

from mailhive.errors import MailhiveError

__all__ = ["DataDirectoryInUse"]


class DataDirectoryInUse(MailhiveError):
    """Another process has the data directory open."""
