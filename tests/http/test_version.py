"""`jmapVersion` of the Accept header (of Apache James), and `jmap.default-version`."""

import pytest

from mailhive.config.jmap import JmapSettings
from mailhive.http.version import VERSIONS


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json; jmapVersion=rfc-8621", 200),
        ('application/json;JMAPVERSION="rfc-8621"; q=1', 200),
        ("text/html, application/json;q=0.5;jmapVersion=rfc-8621", 200),
        ("application/json", 200),
        ("*/*;q=0.1", 200),
        ("application/json; jmapVersion=draft", 400),
        ('application/json; jmapVersion=""', 400),
        ("application/json;jmapVersion=rfc-8621, text/*; jmapVersion=rfc-9999", 400),
    ],
)
@pytest.mark.parametrize("path", ["/jmap/session", "/jmap/api"])
def test_jmap_version_of_the_accept_header(wire, tools, accept, status, path):
    wire.send(tools.request("GET", path, Accept=accept))
    assert wire.take()[0] == status


def test_an_unknown_version_is_told_before_anybody_logs_in(wire, tools):
    wire.send(tools.request("POST", "/jmap/api", b"x", auth=None, Accept="a/b;jmapVersion=rfc-1"))
    status, headers, body = wire.take()
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert b"rfc-8621" in body


def test_default_version_is_one_that_is_spoken():
    assert JmapSettings(directory="memory").default_version in VERSIONS
