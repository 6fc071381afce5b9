"""The certificates of a listener: by the name a client asks for, as they are on disk now.

Whoever renews a certificate need not tell the daemon: a connection that begins looks
whether files have changed, every few seconds at most.  Files that do not fit each other,
as when only one of the two was written yet, leave what was read before in use.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import (
    Certificate,
    DNSName,
    ExtensionNotFound,
    NameOID,
    SubjectAlternativeName,
    load_pem_x509_certificates,
)
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.errors import MailhiveError

__all__ = ["CertificateError", "Certificates", "names_of"]

#: Seconds between two looks at the files.
LOOK = 5.0
#: Of TLS 1.2; those of 1.3 are all good.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
#: For those who would send in the clear otherwise (RFC 7435 §3).
_OPPORTUNISTIC = _CIPHERS + b":ECDHE+AES"
_OPTIONS = (
    SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_NO_TICKET
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)

_log = Logger()


class CertificateError(MailhiveError):
    """Files that cannot be used."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """TLS 1.2 and later with the certificates of `pairs`, files of PEM: its chain, and its key.

    A client gets the first that is for the name it asks for (RFC 6066 §3), else the
    first of all.  `protocols` are offered by ALPN (RFC 7301).  `opportunistic` is for
    a protocol whose clients go on in the clear if they cannot agree on a cipher.
    OSError or ValueError when files cannot be used.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        *,
        seconds: Callable[[], float],
        protocols: Sequence[bytes] = (),
        opportunistic: bool = False,
    ) -> None:
        self._seconds = seconds
        self._protocols = list(protocols)
        self._ciphers = _OPPORTUNISTIC if opportunistic else _CIPHERS
        self._pairs = self._loaded(pairs)
        self._looked = seconds()

    def prepare(self, pairs: Sequence[tuple[Path, Path]]) -> Callable[[], None]:
        """Read other files; what puts them in force.  `CertificateError` if they are no good."""
        try:
            loaded = self._loaded(pairs)
        except (OSError, ValueError) as error:
            raise CertificateError(f"certificates cannot be used: {error}") from error

        def apply() -> None:
            self._pairs = loaded

        return apply

    def serverConnectionForTLS(self, _: Any) -> SSL.Connection:
        """See `IOpenSSLServerConnectionCreator`."""
        if self._seconds() - self._looked >= LOOK:
            self.reload()
        return SSL.Connection(self._pairs[0].context, None)

    def _loaded(self, pairs: Sequence[tuple[Path, Path]]) -> "list[_Pair]":
        loaded = [_Pair(*pair) for pair in pairs]
        for pair in loaded:
            pair.seen = pair.signature()
            self._load(pair)
        return loaded

    def reload(self) -> list[str]:
        """Read changed files again; what is wrong with those that cannot be used."""
        self._looked = self._seconds()
        problems = []
        for pair in self._pairs:
            try:
                signature = pair.signature()
                if signature == pair.seen:
                    continue
                self._load(pair)
            except (OSError, ValueError) as error:
                pair.seen = ()  # to be tried again
                problem = f"{pair.certificate} and {pair.private_key} cannot be used: {error}"
                if problem != pair.problem:
                    _log.error("{problem}; what was read before is", problem=problem)
                pair.problem = problem
                problems.append(problem)
            else:
                pair.seen, pair.problem = signature, None
                _log.info("{file} was read again", file=str(pair.certificate))
        return problems

    def _load(self, pair: "_Pair") -> None:
        # Not Twisted's options: with them a client that offers protocols none of which is
        # known here is refused.
        chain = load_pem_x509_certificates(pair.certificate.read_bytes())
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(_OPTIONS)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cipher_list(self._ciphers)
        context.set_tlsext_servername_callback(self._choose)
        if self._protocols:
            context.set_alpn_select_callback(self._negotiate)
        context.use_certificate(chain[0])
        for certificate in chain[1:]:
            context.add_extra_chain_cert(certificate)
        try:
            context.use_privatekey(_private_key(pair.private_key))
            context.check_privatekey()
        except SSL.Error:
            raise ValueError("the key is not that of the certificate") from None
        pair.context, pair.names = context, names_of(chain[0])

    def _negotiate(self, _: SSL.Connection, offered: list[bytes]) -> Any:
        common = [protocol for protocol in self._protocols if protocol in offered]
        return common[0] if common else SSL.NO_OVERLAPPING_PROTOCOLS

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wildcard = "*." + name.partition(".")[2]
        for pair in self._pairs:
            if name in pair.names or wildcard in pair.names:
                connection.set_context(pair.context)
                return


@define
class _Pair:
    certificate: Path
    private_key: Path
    context: Any = None
    names: frozenset[str] = frozenset()
    seen: tuple[object, ...] = ()
    problem: str | None = None

    def signature(self) -> tuple[object, ...]:
        """Differs when a file was written or replaced."""
        states = [path.stat() for path in (self.certificate, self.private_key)]
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in states)


def _private_key(path: Path) -> Any:
    try:
        return load_pem_private_key(path.read_bytes(), None)
    except TypeError:  # it wants a password
        raise ValueError("the key is encrypted") from None


def names_of(certificate: Certificate) -> frozenset[str]:
    """The host names that a certificate is for, in lower case (RFC 9525 §6.3)."""
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName)
        return frozenset(name.lower() for name in names.value.get_values_for_type(DNSName))
    except ExtensionNotFound:  # made by hand, for tests
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return frozenset(str(name.value).lower() for name in common)
