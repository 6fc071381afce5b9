"""The `[jmap]` section."""

from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import deep_iterable, optional

from mailhive.config.fields import (
    FilePath,
    HttpHeader,
    absolute_url,
    at_least,
    doc,
    each_once,
    lasts,
    origin,
    websocket_url,
)
from mailhive.config.problems import Found
from mailhive.config.units import Duration, Size, format_duration, format_size
from mailhive.config.values import quoted
from mailhive.config.web_push import JmapWebPush
from mailhive.registry import optional_capabilities

__all__ = [
    "JmapEmail",
    "JmapHttp",
    "JmapLimits",
    "JmapSettings",
    "JmapSubmission",
    "JmapToken",
    "JmapUpload",
    "JmapVacation",
    "JmapWebSocket",
]

_ALLOW_ORIGIN = "access-control-allow-origin"


@frozen
class JmapHttp:
    """What the HTTP side of JMAP adds."""

    headers: tuple[HttpHeader, ...] = field(
        default=(),
        metadata=doc(
            "Header fields, each `Name: Value`, that every response carries. They replace those "
            "of the same name that the server would send. An `Access-Control-Allow-Origin` among "
            "them does what `allowed-origins` does."
        ),
    )
    allowed_origins: tuple[str, ...] = field(
        default=(),
        validator=deep_iterable(origin),
        metadata=doc(
            "The origins of web pages, as `https://webmail.example.org`, that may use this server "
            'from a browser; `"*"` is every one. A page of this server\'s own origin needs no '
            "permission."
        ),
    )

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed origins, whichever key names them."""
        return self.allowed_origins or self._by_header

    @property
    def _by_header(self) -> tuple[str, ...]:
        return tuple(value for name, value in self.headers if name.lower() == _ALLOW_ORIGIN)

    def problems(self) -> Found:
        if self.allowed_origins and self._by_header:
            message = "is given beside an Access-Control-Allow-Origin in headers; allowed is one"
            yield ("allowed-origins",), message


@frozen
class JmapLimits:
    """What a client may ask for at once."""

    request_size: Size = field(
        default=Size(10_000_000),
        validator=at_least(1_000),
        metadata=doc("The largest API request (`maxSizeRequest`)."),
    )
    calls: int = field(
        default=16,
        validator=at_least(1),
        metadata=doc("Method calls in one request (`maxCallsInRequest`)."),
    )
    concurrent_requests: int = field(
        default=4,
        validator=at_least(1),
        metadata=doc("API requests of one user at the same time (`maxConcurrentRequests`)."),
    )
    concurrent_uploads: int = field(
        default=4,
        validator=at_least(1),
        metadata=doc("Uploads of one user at the same time (`maxConcurrentUpload`)."),
    )
    get: int = field(
        default=500,
        validator=at_least(1),
        metadata=doc("Objects in one `/get` (`maxObjectsInGet`)."),
    )
    set: int = field(
        default=500,
        validator=at_least(1),
        metadata=doc("Objects in one `/set` (`maxObjectsInSet`)."),
    )
    email_get_full: int = field(
        default=500,
        validator=at_least(1),
        metadata=doc("Emails in one `Email/get` that reads message bodies."),
    )


@frozen
class JmapUpload:
    """Blobs that clients upload."""

    max_size: Size = field(
        default=Size(30_000_000),
        validator=at_least(1),
        metadata=doc("The largest upload (`maxSizeUpload`); more is refused before it is read."),
    )
    quota: Size = field(
        default=Size(200_000_000),
        validator=at_least(1),
        metadata=doc(
            "Uploads of one user that no Email refers to, all together. Beyond it the oldest "
            "are forgotten."
        ),
    )
    life: Duration = field(
        default=Duration(86_400.0),
        validator=lasts("1h"),  # RFC 8620 §6
        metadata=doc(
            "How long an upload is kept that no Email refers to. It may go a little later, "
            "see `storage.collect-interval`."
        ),
    )


@frozen
class JmapEmail:
    """Messages, wherever they come from."""

    max_size: Size | None = field(
        default=None,
        validator=optional(at_least(1)),
        metadata=doc("The largest message that is created, imported or taken in."),
    )
    max_size_attachments: Size = field(
        default=Size(20_000_000),
        metadata=doc(
            "Attachments of one message, all together (`maxSizeAttachmentsPerEmail`). At least "
            "33 % below `max-size`, as encoding makes them grow."
        ),
    )
    max_recipients: int = field(
        default=1_000,
        validator=at_least(1),
        metadata=doc("Recipients of one message that a client sends."),
    )
    guess_charsets: bool = field(
        default=True,
        metadata=doc(
            "Whether text without a charset, or whose charset is unknown or wrongly US-ASCII, is "
            "read as UTF-8 if it can be and else as what it looks like. Off, it is read as "
            "US-ASCII, for a filter in front of this server that does the same (RFC 8621 §9.1)."
        ),
    )
    decode_utf_7: bool = field(
        default=False,
        metadata=doc(
            "Whether bodies that are declared to be UTF-7 are decoded; filters may not see what "
            "is hidden there."
        ),
    )

    def problems(self) -> Found:
        if self.max_size is None:
            return
        allowed = self.max_size * 67 // 100
        if self.max_size_attachments > allowed:
            yield (
                ("max-size-attachments",),
                (
                    f"{format_size(self.max_size_attachments)} is too much beside max-size "
                    f"{format_size(self.max_size)}; allowed is at most {format_size(allowed)}, "
                    "33 % less"
                ),
            )


@frozen
class JmapSubmission:
    """What is kept of messages that were sent."""

    life: Duration = field(
        default=Duration(30 * 86_400.0),
        validator=lasts("1d"),
        metadata=doc(
            "How long an `EmailSubmission` is kept after its message was to go, once that has "
            "happened or failed for every recipient. It is destroyed a little later, see "
            "`storage.collect-interval`."
        ),
    )


@frozen
class JmapToken:
    """Tokens that `mailhive token` makes."""

    key_file: FilePath | None = field(
        default=None,
        metadata=doc(
            "The private key, in PEM, that signs them. It is made if it does not exist. Without "
            "it, or with another one, no token is good any more.",
            default="`token.key` in `server.data-dir`",
        ),
    )


@frozen
class JmapVacation:
    """Automatic replies of users who are away."""

    period: Duration = field(
        default=Duration(7 * 86_400.0),
        validator=lasts("1d"),
        metadata=doc("How long a sender who got a reply gets no second one of the same words."),
    )


@frozen
class JmapWebSocket:
    """JMAP over WebSocket (RFC 8887)."""

    ping_interval: Duration = field(
        default=Duration(60.0),
        validator=lasts("1s"),
        metadata=doc("A ping is sent to a client that has been silent for so long."),
    )
    idle_timeout: Duration = field(
        default=Duration(120.0),
        metadata=doc(
            "A connection on which nothing arrives for so long, not even the answer to a ping, is "
            "cut. At least 5 seconds longer than `ping-interval`."
        ),
    )
    compression: bool = field(
        default=True,
        metadata=doc(
            "Whether messages are compressed (RFC 7692) for clients that offer it. It takes "
            "processor time, and less to send."
        ),
    )

    def problems(self) -> Found:
        least = self.ping_interval + 5  # timers go in steps of a second
        if self.idle_timeout < least:
            yield (
                ("idle-timeout",),
                (
                    f"{format_duration(self.idle_timeout)} is too short beside ping-interval "
                    f"{format_duration(self.ping_interval)}; at least {format_duration(least)} is "
                    "allowed"
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
        default=("jwt", "basic"),
        validator=each_once,
        metadata=doc(
            "How clients prove who they are: `jwt`, `basic`, `oidc`, `trusted-header`, or the "
            "import path of another strategy, as `package.module:NAME`. They are tried in this "
            "order, and the first that yields a user wins. Settings of a strategy are in a table "
            "`[jmap.STRATEGY]`. See [authentication.md](authentication.md)."
        ),
    )
    url_prefix: str | None = field(
        default=None,
        validator=absolute_url,
        metadata=doc(
            "What the URLs of the session object begin with.",
            default="the listener's `url`, else `http://localhost` and its port",
        ),
    )
    websocket_url_prefix: str | None = field(
        default=None,
        validator=websocket_url,
        metadata=doc(
            "What the URL of the WebSocket in the session object begins with.",
            default="what the other URLs begin with, `ws` for `http`",
        ),
    )
    dynamic_prefix: bool = field(
        default=False,
        metadata=doc(
            "Whether `server.trusted-proxies` say with a request for the session what its URLs "
            "begin with: `X-JMAP-PREFIX`, for all of them, and `X-JMAP-WEBSOCKET-PREFIX`."
        ),
    )
    default_version: Literal["rfc-8621"] = field(
        default="rfc-8621",
        metadata=doc(
            "The version of JMAP for clients that do not ask for one, as in "
            "`Accept: application/json; jmapVersion=rfc-8621`."
        ),
    )
    user_provisioning: bool = field(
        default=True,
        metadata=doc(
            "Whether who is authenticated and has no account gets one: a user of the directory an "
            "account for mail, and whom a token or a trusted proxy vouches for an entry in a "
            "directory of type `internal`. Otherwise they are refused with status 403."
        ),
    )
    disabled_capabilities: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "URIs of capabilities to take away, as `urn:ietf:params:jmap:mail`: from the session, "
            "from what a request may use, and all of their methods. The core cannot be."
        ),
    )
    delay_sends: bool = field(
        default=False,
        metadata=doc(
            "Whether clients may have a message sent later (`FUTURERELEASE` among the "
            "`submissionExtensions`); it can be canceled until then."
        ),
    )
    max_delayed_send: Duration = field(
        default=Duration(30 * 86_400.0),
        validator=lasts("1m"),
        metadata=doc("How much later at most (`maxDelayedSend`)."),
    )
    object_cache: Size = field(
        default=Size(32_000_000),
        metadata=doc(
            "Memory of each process for the JSON of objects that were answered last, Emails above "
            "all, which is given again until they change."
        ),
    )
    answer_cache: Size = field(
        default=Size(16_000_000),
        metadata=doc(
            "Memory of each process for whole answers, which are given again to the same request "
            "of the same user until something changes in their accounts."
        ),
    )
    http: JmapHttp = field(factory=JmapHttp, metadata=doc(""))
    limits: JmapLimits = field(factory=JmapLimits, metadata=doc(""))
    upload: JmapUpload = field(factory=JmapUpload, metadata=doc(""))
    email: JmapEmail = field(factory=JmapEmail, metadata=doc(""))
    submission: JmapSubmission = field(factory=JmapSubmission, metadata=doc(""))
    websocket: JmapWebSocket = field(factory=JmapWebSocket, metadata=doc(""))
    web_push: JmapWebPush = field(factory=JmapWebPush, metadata=doc(""))
    vacation: JmapVacation = field(factory=JmapVacation, metadata=doc(""))
    token: JmapToken = field(factory=JmapToken, metadata=doc(""))
    strategies: dict[str, Any] = field(factory=dict, metadata={"key": False})

    def problems(self) -> Found:
        if not self.disabled_capabilities:
            return
        optional = optional_capabilities()
        for index, uri in enumerate(self.disabled_capabilities):
            if uri not in optional:
                message = f"{quoted([uri])} cannot be disabled; allowed: {quoted(optional)}"
                yield ("disabled-capabilities", index), message
