"""Every section of the configuration file as a class.

An attribute is a key (`data_dir` is `data-dir`) and its `doc` metadata the
reference documentation.  The annotation says what may be written there:

- `str`, `int`, `float`, `bool`, `Literal[...]`, `Size`, `Duration`;
- `FilePath`, a path relative to the configuration file;
- `tuple[X, ...]` for a list, where one value alone stands for a list of it;
- `dict[str, X]` for tables that the user names, another class for a table;
- `X | None` for what may be left out.

`secret` metadata masks the value when settings are shown and lets it be given
as the content of a file, under `KEY-file`.  A field's validator is called with
None for the instance, as soon as the field was read; what concerns several keys
is for `__attrs_post_init__`.  Both say "what is wrong; what is allowed" in a
ValueError.  A provider's settings class follows the same rules.
"""

import re
import socket
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, NewType, Self

from attrs import Attribute, field, frozen
from attrs.validators import optional

from mailhive.config.endpoints import Inherited, SocketAddress
from mailhive.config.units import Size
from mailhive.registry import Provider, provider

__all__ = [
    "FilePath",
    "HttpHeader",
    "JmapEmail",
    "JmapHttp",
    "JmapLimits",
    "JmapSettings",
    "JmapUpload",
    "ListenerSettings",
    "ProviderSettings",
    "ServerSettings",
    "Settings",
    "StorageSettings",
    "doc",
]

#: A path that the configuration gives relative to its own file; absolute once read.
FilePath = NewType("FilePath", Path)

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


class HttpHeader(NamedTuple):
    """A header field of every JMAP response, written `Name: Value` (RFC 9110 §5)."""

    name: str
    value: str


def doc(text: str, **more: Any) -> dict[str, Any]:
    """The metadata of a key."""
    return {"doc": text, **more}


def _host_name(_: object, __: "Attribute[str]", name: str) -> None:
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(
            f'"{name}" is not a host name; allowed are labels of letters, digits and hyphens, '
            'joined by dots, as in "mail.example.org"'
        )


def _whole(minimum: int) -> Any:
    def check(_: object, __: "Attribute[int]", value: int) -> None:
        if value < minimum:
            raise ValueError(f"{value} is too small; at least {minimum} is allowed")

    return check


def _url(_: object, __: "Attribute[str | None]", url: str | None) -> None:
    if url is None:
        return
    scheme, mark, rest = url.rpartition("://")
    if (mark and scheme not in ("http", "https")) or not re.fullmatch(
        r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(/[!$-.0-;=@-Z_a-z~]*)*", rest
    ):
        raise ValueError(
            f'"{url}" is not such a URL; allowed is "host:port", optionally with "http://" or '
            '"https://" before it and a path behind it'
        )


def _absolute_url(instance: object, attribute: "Attribute[str | None]", url: str | None) -> None:
    if url is not None and "://" not in url:
        raise ValueError(f'"{url}" has no scheme; allowed is "http://…" or "https://…"')
    _url(instance, attribute, url)


def _machine_name() -> str:
    try:
        _host_name(None, None, name := socket.gethostname())  # type: ignore[arg-type]
    except ValueError:
        return "localhost"
    return name


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
        validator=_url,
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


@frozen
class ServerSettings:
    """The daemon as a whole."""

    hostname: str = field(
        factory=_machine_name,
        validator=_host_name,
        metadata=doc(
            "The name of this server: in the SMTP greeting and in trace headers.",
            default="the name of the machine",
        ),
    )
    data_dir: FilePath = field(
        default=FilePath(Path("var")),
        metadata=doc(
            "Where everything is kept that is not configured elsewhere. It is made if it does "
            "not exist, readable by its owner only."
        ),
    )
    listener: dict[str, ListenerSettings] = field(factory=dict, metadata=doc(""))


@frozen
class StorageSettings:
    """Which of the stores declared below is used for what."""

    mail: str = field(
        default="sqlite",
        metadata=doc(
            "Names a `[store.NAME]` table. `sqlite` needs no table: it is then of type `sqlite`."
        ),
    )
    blob: str = field(
        default="files",
        metadata=doc(
            "Names a `[blob.NAME]` table. `files` needs no table: it is then of type `fs`."
        ),
    )


@frozen
class JmapHttp:
    """What the HTTP side of JMAP adds."""

    headers: tuple[HttpHeader, ...] = field(
        default=(),
        metadata=doc(
            "Header fields, each `Name: Value`, that every response carries. They replace those "
            "of the same name that the server would send."
        ),
    )


@frozen
class JmapLimits:
    """What a client may ask for at once. All of it is advertised to clients."""

    request_size: Size = field(
        default=Size(10_000_000),
        validator=_whole(1_000),
        metadata=doc("The largest API request (`maxSizeRequest`)."),
    )
    calls: int = field(
        default=16,
        validator=_whole(1),
        metadata=doc("Method calls in one request (`maxCallsInRequest`)."),
    )
    concurrent_requests: int = field(
        default=4,
        validator=_whole(1),
        metadata=doc("API requests of one user at the same time (`maxConcurrentRequests`)."),
    )
    concurrent_uploads: int = field(
        default=4,
        validator=_whole(1),
        metadata=doc("Uploads of one user at the same time (`maxConcurrentUpload`)."),
    )
    get: int = field(
        default=500,
        validator=_whole(1),
        metadata=doc("Objects in one `/get` (`maxObjectsInGet`)."),
    )
    set: int = field(
        default=500,
        validator=_whole(1),
        metadata=doc("Objects in one `/set` (`maxObjectsInSet`)."),
    )
    email_get_full: int = field(
        default=500,
        validator=_whole(1),
        metadata=doc("Emails in one `Email/get` that reads message bodies."),
    )


@frozen
class JmapUpload:
    """Blobs that clients upload."""

    max_size: Size = field(
        default=Size(30_000_000),
        validator=_whole(1),
        metadata=doc("The largest upload (`maxSizeUpload`); more is refused before it is read."),
    )
    quota: Size = field(
        default=Size(200_000_000),
        validator=_whole(1),
        metadata=doc(
            "Uploads of one user that no Email refers to, all together. Beyond it the oldest "
            "are forgotten."
        ),
    )


@frozen
class JmapEmail:
    """Messages that clients create."""

    max_size: Size | None = field(
        default=None,
        validator=optional(_whole(1)),
        metadata=doc("The largest message that may be created."),
    )
    max_size_attachments: Size = field(
        default=Size(20_000_000),
        metadata=doc(
            "Attachments of one message, all together (`maxSizeAttachmentsPerEmail`). At least "
            "33 % below `max-size`, as encoding makes them grow."
        ),
    )


@frozen
class JmapSettings:
    """JMAP, on every listener that speaks it."""

    directory: str = field(
        metadata=doc(
            "Names the `[directory.NAME]` table that says who may log in and who can be written to."
        )
    )
    enabled: bool = field(
        default=True,
        metadata=doc("Whether listeners of protocol `jmap` are started."),
    )
    authentication: tuple[str, ...] = field(
        default=("basic",),
        metadata=doc(
            "How clients prove who they are, in the order in which it is tried. Settings of a "
            "strategy are in a table `[jmap.STRATEGY]`."
        ),
    )
    url_prefix: str | None = field(
        default=None,
        validator=_absolute_url,
        metadata=doc(
            "What the URLs of the session object begin with.",
            default="the listener's `url`, else `http://localhost`",
        ),
    )
    user_provisioning: bool = field(
        default=True,
        metadata=doc(
            "Whether a user of the directory who has no account gets one at the first login."
        ),
    )
    http: JmapHttp = field(factory=JmapHttp, metadata=doc(""))
    limits: JmapLimits = field(factory=JmapLimits, metadata=doc(""))
    upload: JmapUpload = field(factory=JmapUpload, metadata=doc(""))
    email: JmapEmail = field(factory=JmapEmail, metadata=doc(""))
    strategies: dict[str, Any] = field(factory=dict, metadata={"key": False})


@frozen
class Settings:
    """The whole file."""

    jmap: JmapSettings = field(metadata=doc(""))
    server: ServerSettings = field(factory=ServerSettings, metadata=doc(""))
    storage: StorageSettings = field(factory=StorageSettings, metadata=doc(""))
    store: dict[str, StoreSettings] = field(factory=dict, metadata=doc(""))
    blob: dict[str, BlobSettings] = field(factory=dict, metadata=doc(""))
    directory: dict[str, DirectorySettings] = field(factory=dict, metadata=doc(""))
