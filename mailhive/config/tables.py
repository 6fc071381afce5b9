"""Tables that the user names and whose `type` or `protocol` chooses a provider."""

from typing import Any, ClassVar, Literal, Self

from attrs import field, frozen

from mailhive.config.certificate import check_key_pair, check_validity
from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.config.fields import FilePath, client_url, doc
from mailhive.config.problems import Found, KeyPath
from mailhive.registry import Provider, provider

__all__ = [
    "BlobSettings",
    "DirectorySettings",
    "ListenerSettings",
    "ProviderSettings",
    "StoreSettings",
]


@frozen
class ProviderSettings:
    """A table whose `chooser` key names a provider of `role`; the other keys are its own.

    `settings` is an instance of the provider's settings class.
    """

    role: ClassVar[str]
    chooser: ClassVar[str] = "type"

    name: str = field(metadata={"key": False})  # of the table
    settings: Any = field(metadata={"key": False})

    @property
    def provider(self) -> Provider:
        return provider(self.role, getattr(self, self.chooser))

    @classmethod
    def of(cls, name: str, kind: str) -> Self:
        """The table `name` that says nothing but its type."""
        return cls(name=name, settings=provider(cls.role, kind).settings(), **{cls.chooser: kind})


@frozen(kw_only=True)
class StoreSettings(ProviderSettings):
    """A place for accounts: mailboxes, messages' metadata, search index, change log."""

    role = "store"
    type: str = field(metadata=doc("Which kind of store this is."))


@frozen(kw_only=True)
class BlobSettings(ProviderSettings):
    """A place for the octets of messages and uploads."""

    role = "blob"
    type: str = field(metadata=doc("Which kind of blob store this is."))


@frozen(kw_only=True)
class DirectorySettings(ProviderSettings):
    """A source of users: who may log in, and which address reaches whom."""

    role = "directory"
    type: str = field(metadata=doc("Which kind of directory this is."))


@frozen(kw_only=True)
class ListenerSettings(ProviderSettings):
    """A protocol on one or more addresses.  Any number of listeners may be declared."""

    role = "listener"
    chooser = "protocol"

    bind: tuple[SocketAddress | Inherited, ...] = field(
        metadata=doc(
            'Where to listen: `"127.0.0.1:25"`, `"[::]:25"`, or `"systemd:NAME"` for a socket '
            "that systemd opened, by its FileDescriptorName or index."
        )
    )
    protocol: str = field(metadata=doc("What is spoken there."))
    url: str | None = field(
        default=None,
        validator=client_url,
        metadata=doc(
            "For `jmap`: the URL that clients use, as `host:port`; the scheme may be left out "
            "and then follows from `tls`."
        ),
    )
    tls: Literal["none", "implicit", "starttls"] = field(
        default="none",
        metadata=doc(
            "`implicit` encrypts from the first octet, `starttls` lets clients ask for it "
            "(`smtp` only)."
        ),
    )
    certificate: tuple[FilePath, ...] = field(
        default=(),
        metadata=doc(
            "PEM files of certificates with their chains; with `tls`. A client gets the first that "
            "is for the name it asks for (SNI), else the first. Changed files are read again "
            "within seconds."
        ),
    )
    private_key: tuple[FilePath, ...] = field(
        default=(),
        metadata=doc("PEM files of the certificates' keys, in the same order; with `tls`."),
    )
    proxy_protocol: bool = field(
        default=False,
        metadata=doc(
            "Whether every connection begins with a PROXY header, of version 1 or 2, that says "
            "whose it is. Connections are then taken from `server.trusted-proxies` only."
        ),
    )

    @property
    def base_url(self) -> str | None:
        """`url` with its scheme and without a slash at its end; None if there is none."""
        if self.url is None:
            return None
        scheme = "" if "://" in self.url else "https://" if self.tls == "implicit" else "http://"
        return scheme + self.url.rstrip("/")

    def problems(self) -> Found:
        if self.url is not None and self.protocol != "jmap":
            yield ("url",), f"does nothing for {self.protocol}; allowed for jmap"
        modes = getattr(self.settings, "tls_modes", ("none", "implicit"))
        if self.tls not in modes:
            allowed = ", ".join(f'"{mode}"' for mode in modes)
            yield (
                ("tls",),
                f'"{self.tls}" is not supported by {self.protocol}; allowed: {allowed}',
            )
            return
        given = {"certificate": len(self.certificate), "private-key": len(self.private_key)}
        for key, count in given.items():
            if count and self.tls == "none":
                yield (key,), 'does nothing; allowed with tls "implicit" or "starttls"'
            elif not count and self.tls != "none":
                yield (key,), f'is missing; tls "{self.tls}" needs it'
        if self.tls == "none" or not all(given.values()):
            return
        if len(set(given.values())) > 1:
            message = f"has {given['private-key']} files; allowed is one for each certificate"
            yield ("private-key",), message
            return
        for index, pair in enumerate(self.key_pairs):
            for path, message in check_key_pair(*pair):
                yield self._at(path[0], index), message

    def warnings(self) -> Found:
        for index, certificate in enumerate(self.certificate):
            doubt = check_validity(certificate)
            if doubt is not None:
                yield self._at("certificate", index), doubt

    @property
    def key_pairs(self) -> list[tuple[FilePath, FilePath]]:
        """Each certificate with its key."""
        return list(zip(self.certificate, self.private_key, strict=True))

    def _at(self, key: str | int, index: int) -> KeyPath:
        """The path of a file: without an index where one value may stand for the list."""
        return (key, index) if len(self.certificate) > 1 else (key,)
