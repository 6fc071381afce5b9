"""Users whom a proxy in front of this server has authenticated, and names in a header."""

import re
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from attrs import Attribute, field, frozen
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.logger import Logger
from zope.interface import implementer

from mailhive.auth.errors import AuthenticationFailed
from mailhive.config.fields import doc
from mailhive.config.problems import Found
from mailhive.interfaces.authentication import IAuthenticationStrategy
from mailhive.model.networks import Networks
from mailhive.model.principal import Principal
from mailhive.registry import Provider

__all__ = ["PROVIDER", "TrustedHeaderSettings", "TrustedHeaderStrategy", "build"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 §5.6.2
_LEAST_SECRET = 16  # characters


def _field_name(_: object, __: "Attribute[str]", name: str) -> None:
    if not _TOKEN.fullmatch(name) or name.lower() in ("authorization", "cookie", "host"):
        raise ValueError(f'"{name}" cannot be that header field; allowed is one such as "X-User"')


@frozen
class TrustedHeaderSettings:
    """`trusted-header`: a proxy names the user, and proves itself by address and secret."""

    secrets: tuple[str, ...] = field(
        default=(),
        repr=False,
        metadata={
            "doc": "What the proxy has to send in the header field NAME-Secret, one of these; at "
            "least 16 characters each. The file has one a line. At least one is needed.",
            "secret": True,
        },
    )
    name: str = field(
        default="X-User",
        validator=_field_name,
        metadata=doc(
            "The header field with the name or the address of the user. The proxy must remove "
            "it, and NAME-Secret, from what clients send."
        ),
    )

    @property
    def each_secret(self) -> tuple[str, ...]:
        return tuple(line for secret in self.secrets for line in secret.splitlines() if line)

    def problems(self) -> Found:
        if not self.each_secret:
            yield ("secrets",), "is missing; the proxy needs one"
        elif any(len(secret) < _LEAST_SECRET for secret in self.each_secret):
            yield ("secrets",), f"has a short one; allowed are {_LEAST_SECRET} characters or more"


@implementer(IAuthenticationStrategy)
class TrustedHeaderStrategy:
    """`users` is an `auth.users.Users`, `proxies` the networks of those who are believed."""

    challenge = None  # clients cannot do that
    log = Logger()

    def __init__(
        self, users: Any, proxies: Networks, secrets: Sequence[str], name: str = "X-User"
    ) -> None:
        self._users = users
        self._proxies = proxies
        self._secrets = [sha256(secret.encode()).digest() for secret in secrets]
        self._name = name

    def authenticate(self, headers: Any, peer: str) -> Deferred[Principal | None]:
        if headers.get(self._name) is None:
            return succeed(None)
        return ensureDeferred(self._authenticate(headers, peer))

    async def _authenticate(self, headers: Any, peer: str) -> Principal:
        source = headers.connected_from
        if not self._proxies.contains(source):
            self._refuse(source, "is no trusted proxy", peer)
        sent = sha256((headers.get(f"{self._name}-Secret") or "").encode("latin-1")).digest()
        # All are compared, so that the time says nothing of which.
        if True not in [compare_digest(sent, secret) for secret in self._secrets]:
            self._refuse(source, "has sent no secret, or a wrong one", peer)
        try:
            user = headers.get(self._name).encode("latin-1").decode()
        except UnicodeDecodeError:
            user = ""
        if not user or "," in user:  # several were sent, perhaps one of them by the client
            self._refuse(source, "has not named one user", peer)
        principal: Principal = await self._users.named(user)
        return principal

    def _refuse(self, source: str, why: str, peer: str) -> None:
        self.log.warn(
            "{name} from {source} refused: it {why}",
            name=self._name,
            source=source,
            why=why,
            peer=peer,
        )
        raise AuthenticationFailed("the proxy is not trusted")


def build(settings: TrustedHeaderSettings, context: Any) -> TrustedHeaderStrategy:
    """The strategy of these settings."""
    return TrustedHeaderStrategy(
        context.users, context.trusted_proxies, settings.each_secret, settings.name
    )


PROVIDER = Provider(settings=TrustedHeaderSettings, build=build)
