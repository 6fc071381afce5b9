"""A small JMAP client on the standard library, which times what it does.

One `Account` is one connection that is kept open, used by one thread at a time;
`clone()` gives another thread its own.
"""

import base64
import copy
import json
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from http1 import Connection, Response

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
WEBSOCKET = "urn:ietf:params:jmap:websocket"
USING = [CORE, MAIL]

Call = tuple[str, dict[str, Any]]


class Failed(Exception):
    """The server answered, but not with what was asked for."""


class Account:
    """The primary mail account of a user, on one server."""

    def __init__(self, url: str, *, verify: bool = True) -> None:
        """`url` is the session resource, with the credentials in it: `http://user:pw@host/…`."""
        parts = urlsplit(url)
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        self.authorization = f"Basic {pair}" if parts.username is not None else None
        host = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, host, parts.path or "/.well-known/jmap", "", ""))
        self.tls = ssl.create_default_context() if verify else ssl._create_unverified_context()
        self.session: dict[str, Any] = {}
        self.id = ""
        #: The last request and its response, in octets: the work that the limit has to do too.
        self.last: tuple[bytes, bytes] = b"", b""
        #: Processor time of the server so far, and what the last exchange took of it.
        self.processor: Callable[[], float] = lambda: 0.0
        self.cpu = 0.0
        self._connections: dict[str, Connection] = {}
        self._connection = Connection(self.url, self.tls)

    def connect(self) -> None:
        for _ in range(5):
            response = self.request("GET", self.url)
            if response.status in {301, 302, 303, 307, 308}:
                self.url = urljoin(self.url, response.headers["location"])
                continue
            if response.status != 200:
                raise Failed(f"GET {self.url}: HTTP {response.status}")
            self.session = json.loads(response.body)
            self.id = self.session["primaryAccounts"][MAIL]
            return
        raise Failed(f"{self.url}: too many redirects")

    def clone(self) -> "Account":
        other = copy.copy(self)
        other._connections = {}
        return other

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def head(self, method: str, url: str, headers: dict[str, str] | None = None) -> bytes:
        """The head of a request, without the empty line."""
        parts = urlsplit(url)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        fields = {"Host": parts.netloc, **(headers or {})}
        if self.authorization:
            fields["Authorization"] = self.authorization
        lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())]
        return "\r\n".join(lines).encode()

    def request(
        self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        head = self.head(method, url, headers)
        if method in {"POST", "PUT"}:
            head += b"\r\nContent-Length: %d" % len(body)
        place = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        if place not in self._connections:
            self._connections[place] = Connection(url, self.tls)
        self._connection = self._connections[place]
        before = self.processor()
        response = self._connection.exchange(head + b"\r\n\r\n" + body)
        self.cpu = self.processor() - before
        self.last = body, response.body
        return response

    @property
    def seconds(self) -> float:
        """How long the last exchange took."""
        return self._connection.seconds

    def limit(self, name: str) -> int:
        return self.session["capabilities"][CORE][name]

    def request_object(self, calls: list[Call]) -> dict[str, Any]:
        return {
            "using": USING,
            "methodCalls": [
                [
                    name,
                    arguments if name == "Core/echo" else {"accountId": self.id, **arguments},
                    f"c{i}",
                ]
                for i, (name, arguments) in enumerate(calls)
            ],
        }

    def calls(self, calls: list[Call]) -> list[dict[str, Any]]:
        """One request; the arguments of the responses.  An error in it raises `Failed`."""
        response = self.request(
            "POST",
            urljoin(self.url, self.session["apiUrl"]),
            json.dumps(self.request_object(calls), separators=(",", ":")).encode(),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )
        if response.status != 200:
            raise Failed(
                f"HTTP {response.status}: {response.body[:200].decode('utf-8', 'replace')}"
            )
        return answers(response.body)

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.calls([(name, arguments)])[0]

    def upload(self, octets: bytes, kind: str = "message/rfc822") -> str:
        """Returns the blob id."""
        url = urljoin(self.url, self.session["uploadUrl"].replace("{accountId}", quote(self.id)))
        response = self.request("POST", url, octets, {"Content-Type": kind})
        if response.status not in {200, 201}:
            raise Failed(f"upload: HTTP {response.status}")
        return json.loads(response.body)["blobId"]

    def download(self, blob_id: str, kind: str = "message/rfc822", name: str = "m.eml") -> bytes:
        url = self.session["downloadUrl"]
        for key, value in {
            "accountId": self.id,
            "blobId": blob_id,
            "type": kind,
            "name": name,
        }.items():
            url = url.replace("{" + key + "}", quote(value, safe=""))
        response = self.request("GET", urljoin(self.url, url))
        if response.status != 200:
            raise Failed(f"download: HTTP {response.status}")
        return response.body


def answers(content: bytes) -> list[dict[str, Any]]:
    """The arguments of the responses in a Response object."""
    responses = json.loads(content)["methodResponses"]
    for name, arguments, _ in responses:
        if name == "error":
            raise Failed(f"{arguments.get('type')} {arguments.get('description') or ''}".strip())
    return [arguments for _, arguments, _ in responses]


def reference(call: int, name: str, path: str) -> dict[str, str]:
    """A result reference (RFC 8620 §3.7) to the `call`-th call of the same request."""
    return {"resultOf": f"c{call}", "name": name, "path": path}


def check_set(response: dict[str, Any]) -> dict[str, Any]:
    """The response to a /set or /import of which nothing may have failed."""
    for key in ("notCreated", "notUpdated", "notDestroyed"):
        for which, error in (response.get(key) or {}).items():
            raise Failed(f"{key} {which}: {error.get('type')} {error.get('description') or ''}")
    return response
