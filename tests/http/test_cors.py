"""Which pages of other origins may read answers."""

import pytest

from mailhive.http.cors import Cors, completed

WEB, EVIL = "https://web.example", "https://evil.example"


@pytest.fixture
def ask(tools, clock):
    """A request from a page to a server that allows `origins`; status and headers."""

    def ask(origins, method="GET", path="/jmap/session", origin=WEB, auth=tools.alice, headers=()):
        server = tools.make_server(clock, cors=Cors(origins), headers=headers)
        fields = {} if origin is None else {"Origin": origin}
        if method == "OPTIONS":
            fields["Access_Control_Request_Method"] = "POST"
            fields["Access_Control_Request_Headers"] = "authorization,content-type"
        wire = tools.wire(server).send(tools.request(method, path, auth=auth, **fields))
        status, answered, _ = wire.take()
        assert "access-control-allow-credentials" not in answered
        assert method != "OPTIONS" or server.chain.asked == 0
        return status, answered

    return ask


def allows(headers):
    return sorted(name for name in headers if name.startswith("access-control-"))


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_nobody_is_allowed_by_default(ask, method):
    status, headers = ask((), method)
    assert status == {"GET": 200, "OPTIONS": 204}[method]
    assert allows(headers) == []
    assert headers.get("vary") is None


@pytest.mark.parametrize("origins", [("*",), (WEB,), (EVIL, WEB)])
@pytest.mark.parametrize(
    "path", ["/.well-known/jmap", "/jmap/api", "/jmap/upload/Aalice/", "/nowhere"]
)
def test_preflight_needs_no_authentication(ask, origins, path):
    status, headers = ask(origins, "OPTIONS", path, auth=None)
    assert status == 204
    assert headers["access-control-allow-origin"] == ("*" if origins == ("*",) else WEB)
    assert "POST" in headers["access-control-allow-methods"]
    assert "Authorization" in headers["access-control-allow-headers"]
    assert "Content-Type" in headers["access-control-allow-headers"]
    assert int(headers["access-control-max-age"]) > 0


@pytest.mark.parametrize(("auth", "status"), [(None, 401), ("Basic YWxpY2U6c2VjcmV0", 200)])
def test_errors_can_be_read_too(ask, auth, status):
    answered, headers = ask(("*",), auth=auth)
    assert answered == status
    assert headers["access-control-allow-origin"] == "*"
    assert "Content-Disposition" in headers["access-control-expose-headers"]
    assert "WWW-Authenticate" in headers["access-control-expose-headers"]


def test_everybody_gets_the_same_answer(ask):
    """So a cache may keep one for all origins."""
    for origin in (None, WEB, EVIL):
        headers = ask(("*",), origin=origin)[1]
        assert headers["access-control-allow-origin"] == "*"
        assert "origin" not in headers.get("vary", "").lower()


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", [None, EVIL, "null", WEB + ".evil.example", WEB + ":8443", "http://web.example"]
)
def test_other_origins_than_the_named_are_not_allowed(ask, method, origin):
    headers = ask((WEB,), method, origin=origin)[1]
    assert allows(headers) == []
    assert headers["vary"] == "Origin"


def test_answers_vary_by_origin(ask):
    headers = ask((WEB,))[1]
    assert headers["access-control-allow-origin"] == WEB
    assert headers["vary"] == "Origin"


def test_vary_of_the_configuration_is_kept(ask):
    headers = ask((WEB,), headers=(("Vary", "Accept"),))[1]
    assert headers["vary"] == "Origin, Accept"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("*", "*, Authorization"),
        ("X-A, *", "X-A, *, Authorization"),
        ("*, authorization", "*, authorization"),
        ("Content-Type", "Content-Type"),
    ],
)
def test_the_wildcard_of_request_headers_means_all(ask, value, sent):
    name = "access-control-allow-headers"
    assert completed(name.title(), value) == sent
    assert completed("X-Other", value) == value
    headers = (("Access-Control-Allow-Origin", "*"), (name, value))
    assert ask(("*",), "OPTIONS", headers=headers)[1][name] == sent


def test_options_of_the_server(ask):
    status, headers = ask(("*",), "OPTIONS", "*", auth=None)
    assert (status, headers["access-control-allow-origin"]) == (200, "*")
