"""Are certificates and their keys there, do they belong together, and for how long?"""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate

from mailhive.config.problems import Found

__all__ = ["check_key_pair", "check_validity"]

#: Days before its end from which on a certificate is warned about.
SOON = 14


def check_key_pair(certificate: Path, private_key: Path) -> Found:
    """What is wrong with the two PEM files."""
    unreadable = False
    for key, path in (("certificate", certificate), ("private-key", private_key)):
        try:
            path.read_bytes()
        except OSError as error:
            unreadable = True
            yield (key,), f"{path} cannot be read: {error.strerror}"
    if unreadable:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key, _no_password)
    except _PasswordError:
        yield ("private-key",), f"{private_key} is encrypted; allowed is a key without password"
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            yield ("private-key",), f"{private_key} is not the key of the certificate"
        else:
            yield (
                ("certificate",),
                f"{certificate} is no certificate or {private_key} no key; allowed is PEM",
            )


def check_validity(certificate: Path) -> str | None:
    """What is doubtful about when a certificate can be used."""
    try:
        found = load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):  # told as a mistake
        return None
    now = datetime.now(UTC)
    if now < found.not_valid_before_utc:
        return f"{certificate} cannot be used before {found.not_valid_before_utc:%Y-%m-%d}"
    if now > found.not_valid_after_utc:
        return f"{certificate} has expired on {found.not_valid_after_utc:%Y-%m-%d}"
    if (found.not_valid_after_utc - now).days < SOON:
        return f"{certificate} expires on {found.not_valid_after_utc:%Y-%m-%d}"
    return None


class _PasswordError(Exception):
    """The key asks for a password."""


def _no_password() -> str:
    raise _PasswordError
