"""mailhive: a Twisted mail daemon that speaks JMAP and SMTP."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("mailhive")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0.0.0"
