"""A provider of keys and of words about tokens, on the loopback."""

import json
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mailhive.fetch.client import Fetcher


class Provider(Resource):
    """Answers each path with what `answers` has for it: status and body, or a function of both."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.url = ""
        self.hold: Deferred[None] | None = None

    def count(self, path: str) -> int:
        return [asked for asked, _, _ in self.asked].count(path)

    def render(self, request: Any) -> Any:
        path = request.path.decode()
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        body = request.content.read().decode()
        self.asked.append((path, headers, body))
        if self.hold is not None:
            self.hold.addCallback(lambda _: self._answer(request, path, headers, body))
            return NOT_DONE_YET
        self._answer(request, path, headers, body)
        return NOT_DONE_YET

    def _answer(self, request: Any, path: str, headers: dict[str, str], body: str) -> None:
        answer = self.answers.get(path, (404, b""))
        if callable(answer):
            answer = answer(headers, body)
        status, content = answer
        request.setResponseCode(status)
        request.setHeader("Content-Type", "application/json")
        request.write(content if isinstance(content, bytes) else json.dumps(content).encode())
        request.finish()


@pytest_twisted.async_yield_fixture
async def provider():
    made = Provider()
    port = reactor.listenTCP(0, Site(made), interface="127.0.0.1")
    made.url = f"http://127.0.0.1:{port.getHost().port}"
    made.port = port
    yield made
    if port.connected:  # a test may have closed it
        await port.stopListening()


@pytest_twisted.async_yield_fixture
async def fetcher():
    made = Fetcher(reactor, timeout=10)
    yield made
    await made.close()
