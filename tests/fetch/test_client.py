"""The client against real servers: answers, limits, redirects, TLS, and how failures are told."""

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.web.server import NOT_DONE_YET

from mailhive.fetch.errors import FetchFailed, FetchRefused
from mailhive.testing.process import free_port


def hello(request):
    request.setHeader(b"X-Kind", b"greeting")
    return b"hello"


class Raw(Protocol):
    """Answers with given octets, and sees when the client goes."""

    def connectionMade(self):
        self.factory.connections += 1

    def dataReceived(self, data):
        if not self.factory.answered:
            self.factory.answered = True
            self.transport.write(self.factory.octets)
            if self.factory.close:
                self.transport.loseConnection()

    def connectionLost(self, reason):
        self.factory.lost.callback(None)


@pytest.fixture
def raw():
    """A server that sends octets, whatever it is asked."""
    ports = []

    def serve(octets, close=True):
        factory = Factory.forProtocol(Raw)
        factory.octets, factory.close, factory.answered = octets, close, False
        factory.connections, factory.lost = 0, Deferred()
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        ports.append(port)
        factory.url = f"http://127.0.0.1:{port.getHost().port}/"
        return factory

    yield serve
    for port in ports:
        pytest_twisted.blockon(port.stopListening())


async def fails(asking):
    with pytest.raises(FetchFailed) as caught:
        await asking
    assert "\n" not in caught.value.reason
    return caught.value.reason


@pytest_twisted.ensureDeferred
async def test_get_gives_status_headers_and_body(fetchers, serve):
    server = serve(hello)
    fetched = await fetchers().request("GET", f"http://127.0.0.1:{server.port}/a?b=c#d")
    assert (fetched.status, fetched.body) == (200, b"hello")
    assert fetched.headers.getRawHeaders("X-Kind") == ["greeting"]
    assert server.asked == [(b"GET", b"/a?b=c", b"")]


@pytest_twisted.ensureDeferred
async def test_post_sends_headers_and_body(fetchers, serve):
    seen = {}

    def answer(request):
        seen.update(request.requestHeaders.getAllRawHeaders())
        request.setResponseCode(201)
        return b""

    server = serve(answer)
    url = f"http://127.0.0.1:{server.port}"
    fetched = await fetchers().request("post", url, headers={"TTL": "5"}, body=b"\x00\x01")
    assert (fetched.status, fetched.body) == (201, b"")
    assert server.asked == [(b"POST", b"/", b"\x00\x01")]
    assert seen[b"Ttl"] == [b"5"]
    assert seen[b"Content-Length"] == [b"2"]
    assert b"Accept-Encoding" not in seen


@pytest_twisted.ensureDeferred
async def test_status_of_an_error_is_an_answer(fetchers, serve):
    def answer(request):
        request.setResponseCode(503)
        request.setHeader(b"Retry-After", b"7")
        return b"busy"

    fetched = await fetchers().request("GET", f"http://127.0.0.1:{serve(answer).port}/")
    assert (fetched.status, fetched.body) == (503, b"busy")
    assert fetched.headers.getRawHeaders("Retry-After") == ["7"]


@pytest_twisted.ensureDeferred
async def test_no_cookie_comes_back(fetchers, serve):
    cookies = []

    def answer(request):
        cookies.append(request.getHeader("cookie"))
        request.addCookie(b"a", b"b")
        return b""

    fetcher, url = fetchers(), f"http://127.0.0.1:{serve(answer).port}/"
    await fetcher.request("GET", url)
    await fetcher.request("GET", url)
    assert cookies == [None, None]


@pytest_twisted.ensureDeferred
async def test_compressed_answer_is_not_unpacked(fetchers, raw):
    server = raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    assert (await fetchers().request("GET", server.url)).body == b"abc"


@pytest_twisted.ensureDeferred
async def test_body_may_have_the_limit_and_no_more(fetchers, serve):
    fetcher, url = fetchers(), f"http://127.0.0.1:{serve(lambda _: b'x' * 100).port}/"
    assert len((await fetcher.request("GET", url, max_body=100)).body) == 100
    reason = await fails(fetcher.request("GET", url, max_body=99))
    assert reason == "127.0.0.1: the answer has more than 99 octets"


@pytest_twisted.ensureDeferred
async def test_body_without_end_is_cut(fetchers, raw):
    chunks = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    octets = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 8
    server = raw(octets, close=False)
    assert "more than 65536 octets" in await fails(fetchers().request("GET", server.url))
    await server.lost


@pytest.mark.parametrize("line", [b"X-Filler: " + b"y" * 1000 + b"\r\n", b" folded\r\n"])
@pytest_twisted.ensureDeferred
async def test_header_without_end_is_cut(line, fetchers, raw):
    server = raw(b"HTTP/1.1 200 OK\r\nA: b\r\n" + line * 40_000, close=False)
    reason = await fails(fetchers().request("GET", server.url))
    assert reason == "127.0.0.1: the header of its answer is too long"
    await server.lost


@pytest_twisted.ensureDeferred
async def test_hang_ends_with_the_timeout_and_the_connection_too(fetchers, raw):
    for octets in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"):
        server = raw(octets, close=False)
        reason = await fails(fetchers(timeout=1.0).request("GET", server.url))
        assert reason == "there was no answer within 1 seconds"
        await server.lost


@pytest_twisted.ensureDeferred
async def test_cancelling_ends_the_connection(fetchers, raw):
    server = raw(b"", close=False)
    asking = fetchers().request("GET", server.url)
    while not server.connections:
        await soon()
    asking.cancel()
    with pytest.raises(CancelledError):
        await asking
    await server.lost


def soon():
    done = Deferred()
    reactor.callLater(0.001, done.callback, None)
    return done


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "the connection ended before the answer did"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "the connection ended before the answer did"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "the connection ended before"),
        (b"220 mail.example.org ESMTP\r\n", "the answer is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46\r\n", "the answer is not HTTP"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_answer(octets, reason, fetchers, raw):
    assert (await fails(fetchers().request("GET", raw(octets).url))).startswith(
        f"127.0.0.1: {reason}"
    )


@pytest_twisted.ensureDeferred
async def test_nobody_there(fetchers):
    asking = fetchers().request("GET", f"http://127.0.0.1:{free_port()}/secret?token=abc")
    assert await fails(asking) == "127.0.0.1: the connection was refused"


@pytest_twisted.ensureDeferred
async def test_unknown_name(fetchers, resolving, zone):
    fetcher = fetchers(resolver=resolving(zone({})))
    reason = await fails(fetcher.request("GET", "http://nobody.example/"))
    assert reason == "nobody.example: the name does not resolve"


@pytest_twisted.ensureDeferred
async def test_at_most_so_many_at_a_time(fetchers, serve):
    waiting = []

    def answer(request):
        waiting.append(request)
        return NOT_DONE_YET

    fetcher, url = fetchers(max_connections=2), f"http://127.0.0.1:{serve(answer).port}/"
    asking = [fetcher.request("GET", url) for _ in range(5)]
    done = gatherResults(asking)
    answered = 0
    while answered < 5:
        while not waiting:
            await soon()
        assert len(waiting) <= 2
        waiting.pop(0).finish()
        answered += 1
    assert [fetched.status for fetched in await done] == [200] * 5


@pytest_twisted.ensureDeferred
async def test_connection_is_used_again(fetchers, serve):
    peers = set()

    def answer(request):
        peers.add(request.client.port)
        return b""

    fetcher, url = fetchers(), f"http://127.0.0.1:{serve(answer).port}/"
    for _ in range(3):
        await fetcher.request("GET", url)
    assert len(peers) == 1


@pytest_twisted.ensureDeferred
async def test_idle_connections_are_bounded(fetchers, serve):
    fetcher = fetchers(max_connections=3)
    for _ in range(8):
        await fetcher.request("GET", f"http://127.0.0.1:{serve(hello).port}/")
        assert len(fetcher._pool.wires) <= 3


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http://a b/", "/x", "http://u:p@127.0.0.1/"])
@pytest_twisted.ensureDeferred
async def test_malformed_url(url, fetchers):
    with pytest.raises(FetchRefused):
        await fetchers().request("GET", url)


# Redirects


def to(location, status=302):
    def answer(request):
        request.setResponseCode(status)
        request.setHeader(b"Location", location.encode())
        return b"elsewhere"

    return answer


@pytest_twisted.ensureDeferred
async def test_redirect_is_not_followed_unasked(fetchers, serve):
    server = serve(to("/b"))
    fetched = await fetchers().request("GET", f"http://127.0.0.1:{server.port}/a")
    assert (fetched.status, fetched.body) == (302, b"elsewhere")
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest_twisted.ensureDeferred
async def test_redirect_is_followed_when_asked(status, fetchers, serve):
    server = serve(lambda r: to("b/c?d", status)(r) if r.path == b"/a" else hello(r))
    fetched = await fetchers().request("GET", f"http://127.0.0.1:{server.port}/a", redirects=1)
    assert (fetched.status, fetched.body) == (200, b"hello")
    assert [path for _, path, _ in server.asked] == [b"/a", b"/b/c?d"]


@pytest_twisted.ensureDeferred
async def test_redirects_end(fetchers, serve):
    server = serve(to("/again"))
    fetched = await fetchers().request("GET", f"http://127.0.0.1:{server.port}/", redirects=3)
    assert fetched.status == 302
    assert len(server.asked) == 4


@pytest_twisted.ensureDeferred
async def test_redirect_of_a_post_is_never_followed(fetchers, serve):
    server = serve(to("/b", 307))
    url = f"http://127.0.0.1:{server.port}/"
    fetched = await fetchers().request("POST", url, body=b"x", redirects=5)
    assert fetched.status == 307
    assert len(server.asked) == 1


@pytest_twisted.ensureDeferred
async def test_redirect_elsewhere_takes_no_credentials_along(fetchers, serve):
    seen = []

    def answer(request):
        seen.append((request.getHeader("authorization"), request.getHeader("x-other")))
        return b""

    other = serve(answer)
    server = serve(to(f"http://127.0.0.1:{other.port}/"))
    await fetchers().request(
        "GET",
        f"http://127.0.0.1:{server.port}/",
        headers={"Authorization": "Bearer x", "X-Other": "y"},
        redirects=1,
    )
    assert seen == [(None, "y")]


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://u@127.0.0.1/", "http://[x]/"])
@pytest_twisted.ensureDeferred
async def test_redirect_to_a_bad_url(location, fetchers, serve):
    with pytest.raises(FetchRefused):
        await fetchers().request(
            "GET", f"http://127.0.0.1:{serve(to(location)).port}/", redirects=1
        )


# TLS


@pytest_twisted.ensureDeferred
async def test_certificate_for_the_name_is_good(fetchers, serve, resolving, zone, certificate):
    made = certificate("push.example")
    server = serve(hello, certificate=made)
    fetcher = fetchers(
        trust_root=made.trust_root, resolver=resolving(zone({"push.example": ["127.0.0.1"]}))
    )
    fetched = await fetcher.request("GET", f"https://push.example:{server.port}/")
    assert fetched.body == b"hello"


@pytest_twisted.ensureDeferred
async def test_certificate_for_an_address_is_good(fetchers, serve, certificate):
    made = certificate("127.0.0.1")
    server = serve(hello, certificate=made)
    fetcher = fetchers(trust_root=made.trust_root)
    fetched = await fetcher.request("GET", f"https://127.0.0.1:{server.port}/")
    assert fetched.body == b"hello"


@pytest_twisted.ensureDeferred
async def test_certificate_for_another_name(fetchers, serve, resolving, zone, certificate):
    made = certificate("other.example")
    server = serve(hello, certificate=made)
    fetcher = fetchers(
        trust_root=made.trust_root, resolver=resolving(zone({"push.example": ["127.0.0.1"]}))
    )
    reason = await fails(fetcher.request("GET", f"https://push.example:{server.port}/"))
    assert reason == "push.example: the certificate is for another name"
    assert server.asked == []


@pytest_twisted.ensureDeferred
async def test_certificate_that_nobody_vouches_for(fetchers, serve, certificate):
    made = certificate("127.0.0.1")
    server = serve(hello, certificate=made)
    reason = await fails(fetchers().request("GET", f"https://127.0.0.1:{server.port}/"))
    assert reason.startswith("127.0.0.1: TLS failed: ")
    assert server.asked == []


@pytest_twisted.ensureDeferred
async def test_no_tls_where_it_was_asked_for(fetchers, raw):
    server = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    reason = await fails(fetchers().request("GET", server.url.replace("http", "https")))
    assert reason.startswith("127.0.0.1: TLS failed: ")


@pytest_twisted.ensureDeferred
async def test_redirect_out_of_tls_is_refused(fetchers, serve, certificate):
    plain = serve(hello)
    made = certificate("127.0.0.1")
    server = serve(to(f"http://127.0.0.1:{plain.port}/"), certificate=made)
    with pytest.raises(FetchRefused) as caught:
        await fetchers(trust_root=made.trust_root).request(
            "GET", f"https://127.0.0.1:{server.port}/", redirects=1
        )
    assert caught.value.reason == "127.0.0.1 redirects to a URL without TLS"
    assert plain.asked == []
