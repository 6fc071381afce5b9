"""mailhive behind nginx and HAProxy, with the configurations of contrib/ as they are."""

import base64
import http.client
import json
import os
import re
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import time
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher

from mailhive.app import build
from mailhive.config.load import load
from mailhive.testing.process import free_port

pytestmark = pytest.mark.system

CONTRIB = Path(__file__).parents[2] / "contrib"
CLIENT = "127.0.0.9"  # where clients come from; the proxies are at 127.0.0.1
LOGIN = "Basic " + base64.b64encode(b"alice:secret").decode()

CONFIG = """\
[server]
hostname = "mx.example.org"
data-dir = "data"
trusted-proxies = ["127.0.0.1"]
[server.listener."jmap"]
bind = "127.0.0.1:0"
protocol = "jmap"
url = "https://jmap.example.org"
[server.listener."jmap-tls"]
bind = "127.0.0.1:0"
protocol = "jmap"
url = "https://mail.example.org"
tls = "implicit"
certificate = "a.pem"
private-key = "a.key"
proxy-protocol = true
[server.listener."mx"]
bind = "127.0.0.1:0"
protocol = "smtp"
proxy-protocol = true
[jmap]
directory = "memory"
dynamic-prefix = true
[directory.memory]
type = "memory"
[[directory.memory.principals]]
name = "alice"
secret = "secret"
email = "alice@example.org"
"""

NGINX = """\
daemon off;
{user}
pid {where}/nginx.pid;
error_log {where}/nginx.log warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {where}/body;
    proxy_temp_path {where}/proxy;
    fastcgi_temp_path {where}/fastcgi;
    uwsgi_temp_path {where}/uwsgi;
    scgi_temp_path {where}/scgi;
    include {where}/mailhive.conf;
}}
"""


@pytest.fixture
def daemon(files, tmp_path):
    """The daemon in this process; the ports of its listeners by name."""
    files("a")
    (tmp_path / "mailhive.toml").write_text(CONFIG)
    running = build(load(tmp_path / "mailhive.toml"), reactor)
    running.startService()
    yield {listener.name: listener.ports[0].getHost().port for listener in running.listeners}
    pytest_twisted.blockon(maybeDeferred(running.stopService))


@pytest.fixture
def peers():
    """The client addresses that requests were logged with."""
    seen = []

    def observe(event):
        if event.get("log_namespace", "").startswith(("mailhive.http.requests", "mailhive.smtp")):
            seen.append(event.get("peer"))

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def proxy(tmp_path):
    """Start a program that listens on a port."""
    running = []

    def start(command, port):
        program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert program is not None, f"{command[0]} is not installed"
        log = (tmp_path / "proxy.log").open("wb")
        running.append(subprocess.Popen([program, *command[1:]], stdout=log, stderr=log))
        while True:
            assert running[-1].poll() is None, (tmp_path / "proxy.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 100).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)

    yield start
    for process in running:
        process.terminate()
        process.wait(100)


def substituted(path, changes):
    """An example configuration for this machine; what is to change has to be in it."""
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def nginx(daemon, proxy, tmp_path):
    port = free_port()
    changes = {
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{daemon['jmap']};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
        "/etc/ssl/jmap.example.org.pem": f"{tmp_path}/a.pem",
        "/etc/ssl/jmap.example.org.key": f"{tmp_path}/a.key",
    }
    text = substituted(CONTRIB / "nginx" / "mailhive.conf", changes)
    (tmp_path / "mailhive.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(NGINX.format(where=tmp_path, user=user))
    proxy(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], port)
    return {"jmap": port}


@pytest.fixture
def haproxy(daemon, proxy, tmp_path):
    ports = {name: free_port() for name in daemon}
    (tmp_path / "both.pem").write_bytes(
        (tmp_path / "a.pem").read_bytes() + (tmp_path / "a.key").read_bytes()
    )
    changes = {
        "mailhive 127.0.0.1:8080": f"mailhive 127.0.0.1:{daemon['jmap']}",
        "mailhive 127.0.0.1:8443": f"mailhive 127.0.0.1:{daemon['jmap-tls']}",
        "mailhive 127.0.0.1:2525": f"mailhive 127.0.0.1:{daemon['mx']}",
        "bind :443 ": f"bind 127.0.0.1:{ports['jmap']} ",
        "bind :8444": f"bind 127.0.0.1:{ports['jmap-tls']}",
        "bind :25": f"bind 127.0.0.1:{ports['mx']}",
        "/etc/haproxy/jmap.example.org.pem": f"{tmp_path}/both.pem",
        "maxconn 20000": "maxconn 200",
    }
    text = substituted(CONTRIB / "haproxy" / "haproxy.cfg", changes)
    (tmp_path / "haproxy.cfg").write_text(text)
    proxy(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")], ports["jmap"])
    return ports


class Client:
    """A blocking client at `CLIENT` of a port of the proxy."""

    def __init__(self, port, trust):
        self.port, self.trust = port, trust

    def open(self):
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=100, context=self.trust, source_address=(CLIENT, 0)
        )

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body of an answer."""
        connection = self.open()
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": LOGIN, **fields})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def session(self, **headers):
        status, _, body = self.ask("GET", "/.well-known/jmap", **headers)
        assert status == 200
        return json.loads(body)

    def events(self):
        """An open event source."""
        connection = self.open()
        url = "/jmap/eventsource?types=*&closeafter=no&ping=0"
        connection.request("GET", url, headers={"Authorization": LOGIN})
        answer = connection.getresponse()
        assert answer.status == 200
        return connection, answer

    def web_socket(self):
        """An open WebSocket, as a socket."""
        plain = socket.create_connection(("127.0.0.1", self.port), 20, (CLIENT, 0))
        made = self.trust.wrap_socket(plain, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /jmap/ws HTTP/1.1", "Host: localhost", f"Authorization: {LOGIN}",
            "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: jmap", "", "",
        ]  # fmt: skip
        made.sendall("\r\n".join(lines).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += made.recv(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return made


def say(web_socket, text):
    """Send a text message, unmasked by a mask of zeros, and read one of less than 64 KiB."""
    data = text.ljust(200).encode()  # its length then takes two octets
    web_socket.sendall(struct.pack("!BBH4x", 0x81, 0xFE, len(data)) + data)
    stream = web_socket.makefile("rb")
    _, length = stream.read(2)
    if length == 126:
        (length,) = struct.unpack("!H", stream.read(2))
    return json.loads(stream.read(length))


def use_everything(client, deliver):
    """Session, requests, uploads, downloads, events and a WebSocket, as a client uses them."""
    session = client.session()
    (account,) = session["accounts"]
    echo = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"a": 1}, "c"]]}
    status, _, body = client.ask(
        "POST", "/jmap/api", json.dumps(echo), Content_Type="application/json"
    )
    assert (status, json.loads(body)["methodResponses"]) == (200, echo["methodCalls"])

    content = os.urandom(3_000_000)
    status, _, body = client.ask("POST", f"/jmap/upload/{account}/", content)
    assert status == 201, body
    blob = json.loads(body)["blobId"]
    path = f"/jmap/download/{account}/{blob}/x?accept=application/octet-stream"
    assert client.ask("GET", path)[2] == content
    status, headers, part = client.ask("GET", path, Range="bytes=10-19")
    assert (status, part) == (206, content[10:20])
    status, headers, _ = client.ask("POST", f"/jmap/upload/{account}/", b"x" * 31_000_000)
    assert (status, headers["Content-Type"]) == (413, "application/problem+json")

    web_socket = client.web_socket()
    request = {"@type": "Request", "id": "R", **echo}
    answer = say(web_socket, json.dumps(request))
    assert (answer["requestId"], answer["methodResponses"]) == ("R", echo["methodCalls"])
    web_socket.close()

    connection, events = client.events()
    assert events.readline() == b": here are your events\n"
    deliver()
    line = b""
    while not line.startswith(b"data: "):
        line = events.readline()
        assert line
    assert "Email" in json.loads(line.removeprefix(b"data: "))["changed"][account]
    connection.close()


def deliver(port):
    """What sends alice a message, through a port of the proxy."""

    def send():
        with smtplib.SMTP("127.0.0.1", port, timeout=100, source_address=(CLIENT, 0)) as smtp:
            smtp.sendmail("b@example.net", ["alice@example.org"], "Subject: x\r\n\r\nhello\r\n")

    return send


def deliver_as_proxy(port):
    """The same to a port of the daemon, as a proxy."""

    def send():
        with socket.create_connection(("127.0.0.1", port), 100) as made:
            made.sendall(f"PROXY TCP4 {CLIENT} 127.0.0.1 1 25\r\n".encode())
            smtp = smtplib.SMTP(timeout=100)
            smtp.sock, smtp._host = made, "localhost"
            assert smtp.getreply()[0] == 220
            smtp.sendmail("b@example.net", ["alice@example.org"], "Subject: x\r\n\r\nhello\r\n")
            smtp.quit()

    return send


def lie(client):
    """Say things that only a proxy may say."""
    for fields in (
        {"X_Forwarded_For": "8.8.8.8"},
        {"X_Real_IP": "8.8.8.8", "Forwarded": "for=8.8.8.8"},
        {"Forwarded": 'for="8.8.8.8'},
    ):
        client.session(**fields)
    session = client.session(
        X_JMAP_PREFIX="https://evil.example", X_JMAP_WEBSOCKET_PREFIX="wss://evil.example"
    )
    assert "evil" not in json.dumps(session)


@pytest.fixture
def trust(daemon, tmp_path):
    return ssl.create_default_context(cafile=tmp_path / "a.pem")


@pytest_twisted.ensureDeferred
async def test_behind_nginx(daemon, nginx, trust, peers):
    client = Client(nginx["jmap"], trust)

    def talk():
        use_everything(client, deliver_as_proxy(daemon["mx"]))
        lie(client)

    await deferToThread(talk)
    assert set(peers) == {CLIENT}


@pytest_twisted.ensureDeferred
async def test_behind_haproxy(haproxy, trust, peers):
    client = Client(haproxy["jmap"], trust)

    def talk():
        use_everything(client, deliver(haproxy["mx"]))
        lie(client)

    await deferToThread(talk)
    assert set(peers) == {CLIENT}


@pytest_twisted.ensureDeferred
async def test_tls_through_haproxy(haproxy, trust, peers):
    """PROXY of version 2 before TLS; what the client says of itself is not believed either."""
    client = Client(haproxy["jmap-tls"], trust)

    def talk():
        use_everything(client, deliver(haproxy["mx"]))
        lie(client)

    await deferToThread(talk)
    assert set(peers) == {CLIENT}


@pytest.mark.parametrize("front", ["nginx", "haproxy"])
@pytest_twisted.ensureDeferred
async def test_http_2_in_front(front, request, trust, tmp_path, peers):
    port = request.getfixturevalue(front)["jmap"]
    curl = ["curl", "--silent", "--http2", "--interface", CLIENT, "--user", "alice:secret"]
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 1_000_000)

    def ask(*options, path="/.well-known/jmap"):
        url = f"https://localhost:{port}{path}"
        more = ["--cacert", str(tmp_path / "a.pem"), "--write-out", "\n%{http_version}", *options]
        done = subprocess.run([*curl, *more, url], capture_output=True, timeout=100, check=True)
        body, _, version = done.stdout.rpartition(b"\n")
        assert version == b"2"
        return json.loads(body)

    (account,) = (await deferToThread(ask))["accounts"]
    path = f"/jmap/upload/{account}/"
    stored = await deferToThread(ask, "--data-binary", f"@{upload}", path=path)
    assert stored["size"] == 1_000_000
    assert set(peers) == {CLIENT}


@pytest.mark.parametrize("keyword", ["send-proxy", "send-proxy-v2"])
@pytest_twisted.ensureDeferred
async def test_smtp_through_haproxy(daemon, proxy, tmp_path, peers, keyword):
    port = free_port()
    text = (CONTRIB / "haproxy" / "haproxy.cfg").read_text()
    smtp = text[text.index("frontend smtp") :]
    defaults = text[text.index("defaults") : text.index("# TLS ends here")]
    smtp = smtp.replace("bind :25", f"bind 127.0.0.1:{port}").replace(
        "127.0.0.1:2525 send-proxy", f"127.0.0.1:{daemon['mx']} {keyword}"
    )
    (tmp_path / "smtp.cfg").write_text(defaults + smtp)
    proxy(["haproxy", "-db", "-f", str(tmp_path / "smtp.cfg")], port)
    await deferToThread(deliver(port))
    (stored,) = [
        path.read_bytes()
        for path in (tmp_path / "data" / "blobs").rglob("*")
        if path.is_file() and b"Subject: x" in path.read_bytes()
    ]
    assert re.search(rb"Received: from \S+ \(\[127\.0\.0\.9\]\)", stored)
    assert set(peers) == {CLIENT}
