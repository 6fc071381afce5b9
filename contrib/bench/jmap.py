"""A small JMAP client on the standard library, which times what it does.

One `Account` is one connection that is kept open, used by one thread at a time;
`clone()` gives another thread its own.
"""

import base64
import http.client
import json
import ssl
import time
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
USING = [CORE, MAIL]

Call = tuple[str, dict[str, Any]]


class Failed(Exception):
    """The server answered, but not with what was asked for."""


class Connection:
    """HTTP/1.1 with Basic credentials; reconnects when the server has closed."""

    def __init__(self, authorization: str | None, verify: bool) -> None:
        self.authorization = authorization
        self.seconds = 0.0  # of the last exchange, from the first octet sent to the last received
        self._context = ssl.create_default_context() if verify else ssl._create_unverified_context()
        self._open: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def request(
        self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        parts = urlsplit(url)
        target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        all_headers = dict(headers or {})
        if self.authorization:
            all_headers["Authorization"] = self.authorization
        place = (parts.scheme, parts.netloc)
        for attempt in (1, 2):
            connection = self._open.get(place)
            if connection is None:
                connection = self._open[place] = self._connect(*place)
            begin = time.perf_counter()
            try:
                connection.request(method, target, body or None, all_headers)
                response = connection.getresponse()
                content = response.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                del self._open[place]
                # An idle connection may have been closed under us: once more.
                if attempt == 2:
                    raise
                continue
            self.seconds = time.perf_counter() - begin
            return response.status, response.headers, content
        raise AssertionError("unreachable")

    def _connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(netloc, timeout=300, context=self._context)
        return http.client.HTTPConnection(netloc, timeout=300)


class Account:
    """The primary mail account of a user, on one server."""

    def __init__(self, url: str, *, verify: bool = True) -> None:
        """`url` is the session resource, with the credentials in it: `http://user:pw@host/…`."""
        parts = urlsplit(url)
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        host = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, host, parts.path or "/.well-known/jmap", "", ""))
        self.user = unquote(parts.username or "")
        self._verify = verify
        self._connection = Connection(authorization, verify)
        self.session: dict[str, Any] = {}
        self.id = ""

    def connect(self) -> None:
        url = self.url
        for _ in range(5):
            status, headers, content = self._connection.request("GET", url)
            if status in {301, 302, 303, 307, 308}:
                url = urljoin(url, headers["Location"])
                continue
            if status != 200:
                raise Failed(f"GET {url}: HTTP {status}")
            self.session = json.loads(content)
            self.url = url
            self.id = self.session["primaryAccounts"][MAIL]
            return
        raise Failed(f"{self.url}: too many redirects")

    def clone(self) -> "Account":
        other = object.__new__(Account)
        other.__dict__.update(self.__dict__)
        other._connection = Connection(self._connection.authorization, self._verify)
        return other

    @property
    def seconds(self) -> float:
        """How long the last exchange took."""
        return self._connection.seconds

    def limit(self, name: str) -> int:
        return self.session["capabilities"][CORE][name]

    def calls(self, calls: list[Call]) -> list[dict[str, Any]]:
        """One request; the arguments of the responses.  An error in it raises `Failed`."""
        body = {
            "using": USING,
            "methodCalls": [
                [
                    name,
                    {"accountId": self.id, **arguments} if name != "Core/echo" else arguments,
                    f"c{i}",
                ]
                for i, (name, arguments) in enumerate(calls)
            ],
        }
        status, _, content = self._connection.request(
            "POST",
            urljoin(self.url, self.session["apiUrl"]),
            json.dumps(body, separators=(",", ":")).encode(),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )
        if status != 200:
            raise Failed(f"HTTP {status}: {content[:200].decode('utf-8', 'replace')}")
        responses = json.loads(content)["methodResponses"]
        for name, arguments, _ in responses:
            if name == "error":
                raise Failed(
                    f"{arguments.get('type')} {arguments.get('description') or ''}".strip()
                )
        return [arguments for _, arguments, _ in responses]

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.calls([(name, arguments)])[0]

    def upload(self, octets: bytes, kind: str = "message/rfc822") -> str:
        """Returns the blob id."""
        url = urljoin(self.url, self.session["uploadUrl"].replace("{accountId}", quote(self.id)))
        status, _, content = self._connection.request("POST", url, octets, {"Content-Type": kind})
        if status not in {200, 201}:
            raise Failed(f"upload: HTTP {status}")
        return json.loads(content)["blobId"]

    def download(self, blob_id: str, kind: str = "message/rfc822", name: str = "m.eml") -> bytes:
        url = self.session["downloadUrl"]
        for key, value in {
            "accountId": self.id,
            "blobId": blob_id,
            "type": kind,
            "name": name,
        }.items():
            url = url.replace("{" + key + "}", quote(value, safe=""))
        status, _, content = self._connection.request("GET", urljoin(self.url, url))
        if status != 200:
            raise Failed(f"download: HTTP {status}")
        return content


def reference(call: int, name: str, path: str) -> dict[str, str]:
    """A result reference (RFC 8620 §3.7) to the `call`-th call of the same request."""
    return {"resultOf": f"c{call}", "name": name, "path": path}


def check_set(response: dict[str, Any]) -> dict[str, Any]:
    """The response to a /set or /import of which nothing may have failed."""
    for key in ("notCreated", "notUpdated", "notDestroyed"):
        for which, error in (response.get(key) or {}).items():
            raise Failed(f"{key} {which}: {error.get('type')} {error.get('description') or ''}")
    return response
