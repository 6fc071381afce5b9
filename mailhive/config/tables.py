"""Tables that the user names and whose `type` or `protocol` chooses a provider."""

from typing import Any, ClassVar, Literal, Self

from attrs import field, frozen

from mailhive.config.certificate import check_key_pair
from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.config.fields import FilePath, client_url, doc
from mailhive.config.problems import Found
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
    certificate: FilePath | None = field(
        default=None, metadata=doc("PEM file of the certificate and its chain; with `tls`.")
    )
    private_key: FilePath | None = field(
        default=None, metadata=doc("PEM file of the certificate's key; with `tls`.")
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
        files = {"certificate": self.certificate, "private-key": self.private_key}
        for key, path in files.items():
            if path is not None and self.tls == "none":
                yield (key,), 'does nothing; allowed with tls "implicit" or "starttls"'
            elif path is None and self.tls != "none":
                yield (key,), f'is missing; tls "{self.tls}" needs it'
        if self.tls != "none" and self.certificate and self.private_key:
            yield from check_key_pair(self.certificate, self.private_key)
