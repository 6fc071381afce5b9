"""The other side of Web Push, for tests: a push service, and subscribers who read.

    service = PushService.listen(reactor, make_certificate("localhost"))
    phone = Subscriber()
    ...  # create a PushSubscription with service.url("phone") and phone.keys
    push = await service.next()
    phone.read(push.headers, push.body)

Decrypts (RFC 8188, RFC 8291) and checks signatures (RFC 7515, RFC 8292) by itself, with
nothing of what the server does that with.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from secrets import token_bytes
from typing import Any

from attrs import Factory, define, field, frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.ssl import PrivateCertificate
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mailhive.testing.certificates import Pem, make_certificate

__all__ = ["HANG", "Answer", "Push", "PushService", "Subscriber", "check_vapid"]


def _encode(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derive(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF (RFC 5869) of at most one block."""
    extracted = hmac.digest(salt, key, sha256)
    return hmac.digest(extracted, info + b"\x01", sha256)[:length]


@define
class Subscriber:
    """Somebody with keys to read what is pushed to them."""

    private: ec.EllipticCurvePrivateKey = Factory(lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = field(factory=lambda: token_bytes(16), repr=False)

    @property
    def point(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def keys(self) -> dict[str, str]:
        """The property of a PushSubscription."""
        return {"p256dh": _encode(self.point), "auth": _encode(self.auth)}

    def decrypt(self, body: bytes) -> bytes:
        """The text of an encrypted body; an exception if it is not for these keys."""
        salt, record_size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4096, "a push service need not take more"
        assert len(record) <= record_size, "more than one record (RFC 8291 §4)"
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        shared = self.private.exchange(ec.ECDH(), public)
        info = b"WebPush: info\x00" + self.point + sender
        secret = _derive(shared, self.auth, info, 32)
        key = _derive(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = _derive(secret, salt, b"Content-Encoding: nonce\x00", 12)
        padded = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\x00")
        assert padded[-1:] == b"\x02", "not the last record (RFC 8188 §2)"
        return padded[:-1]

    def read(self, headers: Mapping[str, str], body: bytes) -> Any:
        """The object that was pushed."""
        assert headers["content-encoding"] == "aes128gcm"
        assert headers["content-type"] == "application/json"
        return json.loads(self.decrypt(body))


def check_vapid(authorization: str, server_key: str) -> dict[str, Any]:
    """The claims of an Authorization header, if it is signed by that key (RFC 8292 §3)."""
    scheme, _, parameters = authorization.partition(" ")
    assert scheme.lower() == "vapid"
    values = dict(item.strip().split("=", 1) for item in parameters.split(","))
    assert values["k"] == server_key
    signed, _, signature = values["t"].rpartition(".")
    header, _, claims = signed.partition(".")
    assert json.loads(_decode(header))["alg"] == "ES256"
    octets = _decode(signature)
    r, s = (int.from_bytes(part, "big") for part in (octets[:32], octets[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decode(server_key))
    key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
    found: dict[str, Any] = json.loads(_decode(claims))
    return found


@frozen
class Push:
    """A request to the push service; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float  # seconds


@frozen
class Answer:
    """What the push service says; with status 0 it never says anything."""

    status: int = 201
    headers: Mapping[str, str] = field(factory=dict)


HANG = Answer(0)
#: Seconds to wait for what should come.
_PATIENCE = 120


class PushService(Resource):
    """Answers as it is told by `script`, in turn, and 201 when that is at its end."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self.script: list[Answer] = []
        self.received: list[Push] = []
        #: Called with each answer; the push is the last of `received`.
        self.answered: Callable[[Answer], None] = lambda _: None
        self._queue: DeferredQueue[Push] = DeferredQueue()
        self._port: Any = None
        self._hanging: list[Any] = []

    @classmethod
    def listen(cls, reactor: Any, pem: Pem | None = None, port: int = 0) -> "PushService":
        """Listen on the loopback, over TLS as `localhost`."""
        pem = pem or make_certificate("localhost", "127.0.0.1")
        service = cls(reactor)
        certificate = PrivateCertificate.loadPEM(pem.private_key + pem.certificate)
        service._port = reactor.listenSSL(
            port, Site(service), certificate.options(), interface="127.0.0.1"
        )
        return service

    def url(self, path: str = "") -> str:
        return f"https://localhost:{self._port.getHost().port}/{path}"

    def next(self) -> Deferred[Push]:
        """The next request, which may have come already; fails when none comes for long."""
        return self._queue.get().addTimeout(_PATIENCE, self._reactor)

    def answer_hanging(self, status: int = 201) -> None:
        """Answer at last what was left without an answer."""
        for request in self._hanging:
            if request.channel is not None:
                request.setResponseCode(status)
                request.finish()
        self._hanging.clear()

    async def stop(self) -> None:
        """Listen no more."""
        for request in self._hanging:
            if request.channel is not None:
                request.transport.abortConnection()
        await self._port.stopListening()

    def render_POST(self, request: Any) -> Any:
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        path, now = request.path.decode().lstrip("/"), self._reactor.seconds()
        push = Push(path, headers, request.content.read(), now)
        self.received.append(push)
        answer = self.script.pop(0) if self.script else Answer()
        self.answered(answer)
        self._queue.put(push)
        if not answer.status:
            self._hanging.append(request)
            return NOT_DONE_YET
        request.setResponseCode(answer.status)
        for name, value in answer.headers.items():
            request.setHeader(name, value)
        return b""
