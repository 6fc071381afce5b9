"""Directories (`mailhive.interfaces.directory`)."""
