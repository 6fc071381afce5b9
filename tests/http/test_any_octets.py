"""Whatever octets come, nothing fails: they are answered, waited for or refused."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

METHODS = st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"G\x00T", b""])
TARGETS = st.sampled_from(
    [b"/jmap/api", b"/jmap/session", b"/jmap/upload/Aalice/", b"/jmap/download/Aalice/b1/x",
     b"/jmap/download/Aalice/%ff/%00?accept=a", b"/.well-known/jmap", b"/jmap/ws", b"*", b"/",
     b"http://a/jmap/api", b"http://[/", b"//", b"/%", b"/jmap/eventsource?types", b"\xb0"]
)  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b""])
FIELDS = st.lists(
    st.sampled_from(
        [b"Host: a", b"Host: a", b"Host:", b"Host: \xff", b"Authorization: Basic YWxpY2U6c2VjcmV0",
         b"Authorization: Basic YWxpY2U6c2VjcmV0", b"Authorization: Basic \xff",
         b"Content-Length: 2",
         b"Content-Length: " + b"1" * 5000, b"Transfer-Encoding: chunked", b"Expect: 100-continue",
         b"Content-Type: application/json", b"Content-Type: \xe4", b"Accept: a;jmapVersion=\"",
         b"Range: bytes=0-", b"If-Range: x", b"Origin: null", b"Connection: close", b" folded",
         b"Upgrade: websocket", b"X-Forwarded-For: ,,", b"Forwarded: for=\"", b"no field", b": x"]
    ),
    max_size=8,
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"zz\r\n", b"0\r\n\r\n", b"\x16\x03"]
)


@st.composite
def heads(draw):
    line = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)])
    return b"\r\n".join([line, *draw(FIELDS), b"", draw(BODIES)])


@settings(max_examples=150)
@given(st.lists(heads() | st.binary(max_size=60), max_size=4), st.integers(1, 200), st.booleans())
def test_nothing_fails_and_answers_are_answers(tools, pieces, size, tap):
    clock = Clock()
    server = tools.make_server(clock)
    server.site.wiretap = tap
    server.api.blobs["b1"] = tools.blob(b"hello")
    octets = b"".join(pieces)
    with capturedLogs() as logs:
        wire = tools.wire(server)
        for start in range(0, len(octets), size):
            if not wire.transport.disconnecting:
                wire.send(octets[start : start + size])
        if not wire.transport.disconnecting:
            clock.advance(200)  # what is not complete times out
        received = wire.received
        wire.lose()
        clock.advance(200)
    assert [event for event in logs if event["log_level"] >= LogLevel.error] == []
    assert not received or re.match(rb"HTTP/1\.[01] [1-5]\d\d ", received)
    assert not server.site.channels
    assert not server.blobs.open_writers
