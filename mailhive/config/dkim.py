"""The tables `[dkim.NAME]`: keys by which mail to other servers is signed."""

import re
from pathlib import Path

from attrs import Attribute, field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailhive.config.fields import FilePath, doc, each_once
from mailhive.config.problems import Found
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = ["DkimSettings", "KeyFileError", "read_private_key"]

# RFC 8301 §3.2: what every verifier takes
_LEAST_BITS, _MOST_BITS = 1024, 4096
_GOOD_BITS = 2048
_SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", re.ASCII)
_FIELD_NAME = re.compile(r"[!-9<-~]+", re.ASCII)  # RFC 5322 §2.2, but for the semicolon
#: Fields that servers on the way add or change (RFC 6376 §5.4), and signatures themselves.
_NEVER = {"return-path", "received", "dkim-signature", "authentication-results", "bcc"}


class KeyFileError(ValueError):
    """There is no key in the file, or none to sign with."""


def read_private_key(path: Path) -> RSAPrivateKey | Ed25519PrivateKey:
    """The key in a PEM file; `KeyFileError` says what is wrong with it."""
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None
    except TypeError:
        raise KeyFileError(f"{path} is encrypted; allowed is a key without password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} is no private key; allowed is PEM") from None
    if not isinstance(found, RSAPrivateKey | Ed25519PrivateKey):
        raise KeyFileError(f"{path} is a key of another kind; allowed are RSA and Ed25519")
    if isinstance(found, RSAPrivateKey) and not _LEAST_BITS <= found.key_size <= _MOST_BITS:
        raise KeyFileError(
            f"{path} is a key of {found.key_size} bits; allowed are {_LEAST_BITS} to {_MOST_BITS}"
        )
    return found


def _domains(_: object, __: "Attribute[tuple[str, ...]]", names: tuple[str, ...]) -> None:
    for name in names:
        canonical = canonical_domain(name)
        if canonical is None or not is_domain(canonical):
            raise ValueError(f'"{name}" is no domain; allowed is one such as "example.org"')
    each_once(None, None, tuple(canonical_domain(name) or "" for name in names))  # type: ignore[arg-type]


def _selector(_: object, __: "Attribute[str]", name: str) -> None:
    if len(name) > 190 or not all(
        len(label) < 64 and _SELECTOR.fullmatch(label) for label in name.split(".")
    ):
        raise ValueError(
            f'"{name}" is no selector; allowed are labels of letters, digits and hyphens, joined '
            "by dots"
        )


def _field_names(
    _: object, __: "Attribute[tuple[str, ...] | None]", names: tuple[str, ...] | None
) -> None:
    for name in names or ():
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f'"{name}" is no name of a header field; allowed is one such as "To"')
        if name.lower() in _NEVER:
            raise ValueError(f'"{name}" changes on the way; allowed is any field that does not')


@frozen
class DkimSettings:
    """A key by which mail to other servers is signed (DKIM, RFC 6376).

    The domain is that of the From field; without a key of its own that of the nearest
    domain above it signs. All keys of a domain sign, so that an RSA and an Ed25519 key
    may stand side by side. `mailhive dkim make` makes keys, and prints what to publish.
    """

    domains: tuple[str, ...] = field(
        validator=_domains, metadata=doc("Domains that sign with this key.")
    )
    selector: str = field(
        validator=_selector,
        metadata=doc("The name that the key is published below: `SELECTOR._domainkey.DOMAIN`."),
    )
    private_key: FilePath = field(
        metadata=doc(
            "PEM file of an RSA key of 1024 to 4096 bits (rsa-sha256) or an Ed25519 key "
            "(ed25519-sha256)."
        )
    )
    sealed_fields: tuple[str, ...] | None = field(
        default=None,
        validator=_field_names,
        metadata=doc(
            "Header fields that are signed whether or not they are there, so that nobody can add "
            "one.",
            default="From, To, Cc, Subject, Date, Reply-To, Message-ID, MIME-Version, "
            "Content-Type, In-Reply-To",
        ),
    )
    signed_fields: tuple[str, ...] | None = field(
        default=None,
        validator=_field_names,
        metadata=doc(
            "Header fields that are signed if they are there.",
            default="Sender, References, other Content-, Resent- and List- fields",
        ),
    )

    def problems(self) -> Found:
        if self.sealed_fields is not None and "from" not in map(str.lower, self.sealed_fields):
            yield ("sealed-fields",), "is without From; allowed is a list that has it"
        try:
            read_private_key(self.private_key)
        except KeyFileError as error:
            yield ("private-key",), str(error)

    def warnings(self) -> Found:
        try:
            key = read_private_key(self.private_key)
        except KeyFileError:  # told as a mistake
            return
        if isinstance(key, RSAPrivateKey) and key.key_size < _GOOD_BITS:
            # RFC 8301 §3.2
            message = f"is a key of {key.key_size} bits; {_GOOD_BITS} are recommended"
            yield ("private-key",), message
