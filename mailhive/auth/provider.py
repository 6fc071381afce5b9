"""An OpenID Connect provider, asked what a token is worth.

By introspection (RFC 7662) where there is such an endpoint and we are a client
that may use it, else by the userinfo endpoint (OpenID Connect Core §5.3).  Where
they are is configured, or discovered (OpenID Connect Discovery §4).
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import msgspec
from attrs import define, field, frozen
from twisted.logger import Logger

from mailhive.auth.shared import Shared
from mailhive.errors import MailhiveError, TemporaryFailure

__all__ = ["Endpoints", "OidcProvider"]

#: Seconds for which what was discovered is used.
DISCOVERED = 3_600.0
_LARGEST = 262_144  # octets of an answer
#: What providers answer to what is no token of theirs, or none that can be introspected.
_NO_TOKEN = ("invalid_token", "unsupported_token_type")
_FORM = "application/x-www-form-urlencoded"


@frozen
class Endpoints:
    """Where the provider answers what; None where it does not."""

    introspection: str | None = None
    userinfo: str | None = None
    secret_in_body: bool = False  # client_secret_post is all that it takes


@define(eq=False)
class OidcProvider:
    """`known` has the endpoints that are configured; the others are discovered.

    `fetcher` is a `fetch.Fetcher`, `clock()` the time in seconds.  Whatever keeps the
    provider from answering is a `TemporaryFailure`.
    """

    issuer: str
    fetcher: Any
    clock: Any
    known: Endpoints = Endpoints()
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    _found: Endpoints | None = None
    _since: float = 0.0
    _shared: Shared = field(factory=Shared)
    _log = Logger()

    async def endpoints(self) -> Endpoints:
        """Those to use."""
        introspects = self.client_id is not None
        if self.known.userinfo and (self.known.introspection or not introspects):
            return self.known
        if self._found is None or self.clock() - self._since > DISCOVERED:
            try:
                await self._shared.run("discovery", self._discover)
            except TemporaryFailure:
                if self._found is None:
                    raise
        assert self._found is not None
        return self._found

    async def introspect(self, url: str, token: str, *, in_body: bool) -> dict[str, Any] | None:
        """The claims of an active token, else None (RFC 7662 §2)."""
        form = {"token": token, "token_type_hint": "access_token"}
        headers = {"Content-Type": _FORM, "Accept": "application/json"}
        client_id, secret = self.client_id or "", self.client_secret
        if secret is None or in_body:
            form["client_id"] = client_id
            if secret is not None:
                form["client_secret"] = secret
        else:  # RFC 6749 §2.3.1
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        status, claims = await self._ask("POST", url, headers, urlencode(form).encode())
        if claims.get("error") in _NO_TOKEN:
            return None
        if status != 200:
            raise self._failed(url, f"it answered with status {status}; is the client right?")
        if not isinstance(claims.get("active"), bool):
            raise self._failed(url, "it does not say whether a token is active")
        return claims if claims["active"] else None

    async def userinfo(self, url: str, token: str) -> dict[str, Any] | None:
        """What the provider tells whoever has the token; None when it is not good for that."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        status, claims = await self._ask("GET", url, headers)
        if status in (400, 401, 403):  # RFC 6750 §3.1
            return None
        if status != 200:
            raise self._failed(url, f"it answered with status {status}")
        return claims

    async def _discover(self) -> None:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        status, found = await self._ask("GET", url, {"Accept": "application/json"})
        if status != 200:
            raise self._failed(url, f"it answered with status {status}")
        if found.get("issuer") != self.issuer:  # OpenID Connect Discovery §4.3
            raise self._failed(url, f'it is of the issuer "{found.get("issuer")}"')
        methods = found.get("introspection_endpoint_auth_methods_supported")
        self._found = Endpoints(
            self.known.introspection or _url(found, "introspection_endpoint"),
            self.known.userinfo or _url(found, "userinfo_endpoint"),
            isinstance(methods, list)
            and "client_secret_basic" not in methods
            and "client_secret_post" in methods,
        )
        self._since = self.clock()

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, Any]]:
        """Status and object of the answer, which is empty if the status is neither 200 nor 400."""
        try:
            answer = await self.fetcher.request(
                method, url, headers=headers, body=body, max_body=_LARGEST
            )
        except MailhiveError as error:
            raise self._failed(url, str(error)) from error
        if answer.status not in (200, 400):
            return answer.status, {}
        try:
            document = msgspec.json.decode(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self._failed(url, "its answer is no JSON object")
        return answer.status, document

    def _failed(self, url: str, why: str) -> TemporaryFailure:
        self._log.warn("The identity provider fails at {url}: {why}", url=url, why=why)
        return TemporaryFailure("the identity provider cannot answer")


def _url(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) else None
