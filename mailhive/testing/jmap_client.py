"""A JMAP client (RFC 8620) for tests and for people who write clients.

    client = JmapClient("https://mail.example.org/.well-known/jmap", "alice", "secret", http)
    mailboxes = await client.call("Mailbox/get", {"ids": None})

`http` is a `treq.client.HTTPClient`, or a `treq.testing.StubTreq` for a resource
in memory.  What goes wrong is raised: `JmapProblem` for a refused request,
`JmapMethodError` for an `error` response.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from attrs import define, field, frozen

__all__ = ["CORE", "MAIL", "Download", "JmapClient", "JmapMethodError", "JmapProblem", "expand"]

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"


class JmapProblem(Exception):
    """An HTTP status that is no success, with its problem details if it had any."""

    def __init__(self, status: int, details: dict[str, Any]) -> None:
        super().__init__(f"{status} {details.get('type', '')} {details.get('detail', '')}".strip())
        self.status = status
        self.details = details


class JmapMethodError(Exception):
    """An `error` response (RFC 8620 §3.6.2)."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('type')} {error.get('description', '')}".strip())
        self.type = error.get("type")
        self.error = error


@frozen
class Download:
    """A downloaded blob or a range of it; header names are in lower case."""

    status: int
    headers: dict[str, str]
    data: bytes


@define
class JmapClient:
    """One user of one server.  The session is fetched when first needed."""

    session_url: str
    login: str
    password: str = field(repr=False)
    http: Any
    using: Sequence[str] = (CORE, MAIL)
    session: dict[str, Any] | None = None

    async def get_session(self) -> dict[str, Any]:
        """Fetch the Session object (RFC 8620 §2) and remember it."""
        response, body = await self.request("GET", self.session_url)
        _check(response, body)
        self.session = msgspec.json.decode(body)
        return self.session

    async def account_id(self, capability: str = MAIL) -> str:
        """The user's primary account for a capability."""
        session = self.session or await self.get_session()
        return session["primaryAccounts"][capability]

    async def send(
        self,
        method_calls: Sequence[Sequence[Any]],
        *,
        using: Sequence[str] | None = None,
        created_ids: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a Request (RFC 8620 §3.3); the Response object (§3.4)."""
        session = self.session or await self.get_session()
        request: dict[str, Any] = {
            "using": list(self.using if using is None else using),
            "methodCalls": [list(call) for call in method_calls],
        }
        if created_ids is not None:
            request["createdIds"] = dict(created_ids)
        response, body = await self.request(
            "POST",
            session["apiUrl"],
            data=msgspec.json.encode(request),
            headers={"Content-Type": "application/json"},
        )
        _check(response, body)
        return msgspec.json.decode(body)

    async def call(self, method: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call one method; its response's arguments.

        The user's primary account is filled in for a missing `accountId`, but
        for `Core/echo`.
        """
        arguments = dict(arguments or {})
        if "accountId" not in arguments and method != "Core/echo":
            arguments["accountId"] = await self.account_id()
        response = await self.send([(method, arguments, "0")])
        name, result, _ = response["methodResponses"][0]
        if name == "error":
            raise JmapMethodError(result)
        return result

    async def upload(
        self, data: Any, media_type: str = "application/octet-stream", account_id: str | None = None
    ) -> dict[str, Any]:
        """Upload octets, or an open file (RFC 8620 §6.1)."""
        session = self.session or await self.get_session()
        account_id = account_id or await self.account_id()
        response, body = await self.request(
            "POST",
            expand(session["uploadUrl"], accountId=account_id),
            data=data,
            headers={"Content-Type": media_type},
        )
        _check(response, body)
        return msgspec.json.decode(body)

    async def download(
        self,
        blob_id: str,
        *,
        media_type: str = "application/octet-stream",
        name: str = "blob",
        account_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Download:
        """Download a blob (RFC 8620 §6.2); `headers` may ask for a range."""
        session = self.session or await self.get_session()
        url = expand(
            session["downloadUrl"],
            accountId=account_id or await self.account_id(),
            blobId=blob_id,
            type=media_type,
            name=name,
        )
        response, body = await self.request("GET", url, headers=headers or {})
        if response.code != 304:
            _check(response, body)
        return Download(
            response.code,
            {
                key.decode().lower(): b", ".join(values).decode("latin-1")
                for key, values in response.headers.getAllRawHeaders()
            },
            body,
        )

    async def request(self, method: str, url: str, **kwargs: Any) -> tuple[Any, bytes]:
        """An authenticated HTTP request: the response and its whole body."""
        response = await self.http.request(
            method, url, auth=(self.login, self.password), allow_redirects=False, **kwargs
        )
        return response, await response.content()


def expand(template: str, **variables: str) -> str:
    """A URI template of level 1 with its variables filled in (RFC 6570 §1.2)."""
    for name, value in variables.items():
        template = template.replace("{" + name + "}", quote(value, safe=""))
    return template


def _check(response: Any, body: bytes) -> None:
    if 200 <= response.code < 300:
        return
    try:
        details = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        details = {}
    raise JmapProblem(response.code, details)
