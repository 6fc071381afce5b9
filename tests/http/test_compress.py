"""Content coding of answers (RFC 9110 §12.5.3)."""

import gzip

import pytest
from twisted.internet.defer import ensureDeferred, maybeDeferred

from mailhive.http.compress import LARGE, WORTHWHILE, accepts_gzip, compressed
from mailhive.http.reply import Reply


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("br, GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("gzipped", False),
    ],
)
def test_accepts_gzip(header, expected):
    assert accepts_gzip(header) is expected


def run(reply, accept, offload=maybeDeferred):
    results = []
    compressing = compressed(reply, {b"accept-encoding": accept}.get, offload)
    ensureDeferred(compressing).addCallback(results.append)
    return results[0]


def test_small_answers_stay_as_they_are():
    reply = Reply(b"x" * (WORTHWHILE - 1))
    assert run(reply, "gzip") is reply


@pytest.mark.parametrize("size", [WORTHWHILE, LARGE, LARGE + 1])
def test_large_answers_are_compressed(size):
    result = run(Reply(b"x" * size), "gzip")
    assert gzip.decompress(result.body) == b"x" * size
    assert (b"Content-Encoding", b"gzip") in result.headers
    assert (b"Vary", b"Accept-Encoding") in result.headers


def test_an_answer_that_depends_on_the_header_says_so():
    assert run(Reply(b"x" * WORTHWHILE), None).headers == ((b"Vary", b"Accept-Encoding"),)


def test_only_large_answers_go_to_a_thread():
    offloaded = []

    def offload(fn, *args):
        offloaded.append(len(args[0]))
        return maybeDeferred(fn, *args)

    run(Reply(b"x" * LARGE), "gzip", offload)
    assert offloaded == []
    run(Reply(b"x" * (LARGE + 1)), "gzip", offload)
    assert offloaded == [LARGE + 1]
