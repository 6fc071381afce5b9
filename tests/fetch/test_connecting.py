"""The guard at the moment of connecting: names, rebinding, redirects.

127.0.0.2 stands for a public host: the guard allows it and nothing else of this machine.
"""

import pytest
import pytest_twisted

from mailhive.fetch.errors import FetchFailed, FetchRefused
from mailhive.fetch.guard import Guard
from mailhive.model.networks import Networks

PUBLIC = "127.0.0.2"
GUARD = Guard(Networks.parse([PUBLIC]))


def hello(_):
    return b"hello"


async def refused(asking):
    with pytest.raises(FetchRefused) as caught:
        await asking
    assert "\n" not in caught.value.reason
    return caught.value.reason


@pytest_twisted.ensureDeferred
async def test_allowed_address_is_reached(fetchers, serve):
    server = serve(hello, interface=PUBLIC)
    fetched = await fetchers(guard=GUARD).request("GET", f"http://{PUBLIC}:{server.port}/")
    assert fetched.body == b"hello"


@pytest_twisted.ensureDeferred
async def test_address_is_refused(fetchers, serve):
    server = serve(hello)
    asking = fetchers(guard=GUARD).request("GET", f"http://127.0.0.1:{server.port}/")
    assert await refused(asking) == "127.0.0.1 is loopback, not of a public host"
    assert server.asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, "fd00::1"],
    ],
)
@pytest_twisted.ensureDeferred
async def test_name_that_resolves_to_one_refused_address(
    addresses, fetchers, serve, resolving, zone
):
    inside, outside = serve(hello), serve(hello, interface=PUBLIC)
    fetcher = fetchers(guard=GUARD, resolver=resolving(zone({"push.example": addresses})))
    for port in (inside.port, outside.port):
        reason = await refused(fetcher.request("GET", f"http://push.example:{port}/"))
        assert reason.endswith("not of a public host")
    assert inside.asked == outside.asked == []


@pytest_twisted.ensureDeferred
async def test_name_that_resolves_to_a_public_address(fetchers, serve, resolving, zone):
    server = serve(hello, interface=PUBLIC)
    fetcher = fetchers(guard=GUARD, resolver=resolving(zone({"push.example": [PUBLIC]})))
    fetched = await fetcher.request("GET", f"http://push.example:{server.port}/")
    assert fetched.body == b"hello"


@pytest_twisted.ensureDeferred
async def test_rebound_name_is_looked_at_each_time(fetchers, serve, resolving, zones):
    def answer(request):
        request.setHeader(b"Connection", b"close")
        return b"public"

    outside = serve(answer, interface=PUBLIC)
    zone = zones({"push.example": [[PUBLIC], ["127.0.0.1"]]})
    fetcher = fetchers(guard=GUARD, resolver=resolving(zone))
    url = f"http://push.example:{outside.port}/"
    assert (await fetcher.request("GET", url)).body == b"public"
    assert "loopback" in await refused(fetcher.request("GET", url))
    assert len(outside.asked) == 1


@pytest_twisted.ensureDeferred
async def test_name_is_resolved_once_for_a_connection(fetchers, serve, resolving, zones):
    """Were it resolved again after it was looked at, the second answer would be used."""
    outside = serve(lambda _: b"public", interface=PUBLIC)
    zone = zones({"push.example": [[PUBLIC], ["127.0.0.1"]]})
    fetcher = fetchers(guard=GUARD, resolver=resolving(zone))
    url = f"http://push.example:{outside.port}/"
    for _ in range(3):  # the connection is kept
        assert (await fetcher.request("GET", url)).body == b"public"
    assert sorted(zone.asked.values()) == [1, 1]


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{}/", "http://inside.example:{}/", "http://2130706433:{}/"]
)
@pytest_twisted.ensureDeferred
async def test_redirect_inside_is_refused(location, fetchers, serve, resolving, zone):
    inside = serve(hello)

    def answer(request):
        request.redirect(location.format(inside.port).encode())
        return b""

    outside = serve(answer, interface=PUBLIC)
    names = zone({"push.example": [PUBLIC], "inside.example": ["127.0.0.1"]})
    fetcher = fetchers(guard=GUARD, resolver=resolving(names))
    url = f"http://push.example:{outside.port}/"
    await refused(fetcher.request("GET", url, redirects=5))
    assert inside.asked == []
    assert (await fetcher.request("GET", url)).status == 302


@pytest_twisted.ensureDeferred
async def test_redirect_outside_is_followed(fetchers, serve):
    last = serve(hello, interface=PUBLIC)

    def answer(request):
        request.redirect(f"http://{PUBLIC}:{last.port}/".encode())
        return b""

    first = serve(answer, interface=PUBLIC)
    fetched = await fetchers(guard=GUARD).request(
        "GET", f"http://{PUBLIC}:{first.port}/", redirects=1
    )
    assert fetched.body == b"hello"


@pytest_twisted.ensureDeferred
async def test_name_without_an_address_is_not_refused_but_fails(fetchers, resolving, zone):
    fetcher = fetchers(guard=GUARD, resolver=resolving(zone({})))
    with pytest.raises(FetchFailed) as caught:
        await fetcher.request("GET", "http://push.example/")
    assert caught.value.reason == "push.example: the name does not resolve"


@pytest_twisted.ensureDeferred
async def test_without_a_guard_this_machine_is_reached(fetchers, serve, resolving, zone):
    server = serve(hello)
    fetcher = fetchers(resolver=resolving(zone({"jwks.example": ["127.0.0.1"]})))
    assert (await fetcher.request("GET", f"http://jwks.example:{server.port}/")).body == b"hello"


@pytest_twisted.ensureDeferred
async def test_resolver_of_the_reactor_is_looked_at_too(fetchers, serve):
    server = serve(hello)
    url = f"http://localhost:{server.port}/"
    assert await refused(fetchers(guard=GUARD).request("GET", url)) == "it is this server itself"
    assert (await fetchers().request("GET", url)).body == b"hello"
