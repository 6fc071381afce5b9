"""Blob stores (`mailhive.interfaces.blobs`)."""
