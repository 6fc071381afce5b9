"""Are a certificate and its key there, and do they belong together?"""

import ssl
from pathlib import Path

from mailhive.config.problems import Found

__all__ = ["check_key_pair"]


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


class _PasswordError(Exception):
    """The key asks for a password."""


def _no_password() -> str:
    raise _PasswordError
