import pytest
from pytest_twisted import ensureDeferred
from twisted.internet import reactor

from mailhive.errors import TemporaryFailure
from mailhive.smtp.relay.exchangers import Exchangers, NoMail
from mailhive.testing.names import NameServer


@pytest.fixture
def exchangers(names: NameServer) -> Exchangers:
    names.records |= {  # type: ignore[operator]
        "implicit.example": {"A": ["127.0.0.9"], "AAAA": ["::1"]},
        "null.example": {"MX": [(0, ".")]},
        "alias.example": {"CNAME": ["example.org"]},
        "alias2.example": {"CNAME": ["alias.example"]},
        "loop.example": {"CNAME": ["loop.example"]},
        "own.example": {"MX": [(10, "a.example"), (20, "Here.example"), (30, "c.example")]},
        "only.own.example": {"MX": [(10, "here.example")]},
        "equal.example": {
            "MX": [(10, f"mx{i}.example") for i in range(8)] + [(5, "first.example")]
        },
        "many.example": {"MX": [(i, f"mx{i}.example") for i in range(20)]},
        "xn--exmple-cua.example": {"MX": [(10, "umlaut.example")]},
    }
    names.failing.add("broken.example")
    return Exchangers(names.resolver(reactor), "here.example")


@ensureDeferred
async def test_hosts(exchangers: Exchangers) -> None:
    async def hosts(domain: str) -> list[str]:
        return list((await exchangers.hosts(domain)).names)

    assert await hosts("example.org") == ["mx1.example.org", "mx2.example.org"]
    assert await hosts("implicit.example") == ["implicit.example"]
    assert await hosts("alias.example") == ["mx1.example.org", "mx2.example.org"]
    assert await hosts("alias2.example") == ["mx1.example.org", "mx2.example.org"]
    assert await hosts("exämple.example") == ["umlaut.example"]
    # RFC 5321 §5.1: only servers that are better than ourselves.
    assert await hosts("own.example") == ["a.example"]
    # No domain keeps us busy with looking for its hosts.
    assert await hosts("many.example") == [f"mx{i}.example" for i in range(10)]
    orders = {tuple(await hosts("equal.example")) for _ in range(20)}
    assert {order[0] for order in orders} == {"first.example"} and len(orders) > 1


@pytest.mark.parametrize(
    ("domain", "code", "enhanced"),
    [
        ("nowhere.example", 550, "5.1.2"),
        ("null.example", 556, "5.1.10"),
        ("only.own.example", 554, "5.4.6"),
    ],
)
@ensureDeferred
async def test_no_mail(exchangers: Exchangers, domain: str, code: int, enhanced: str) -> None:
    with pytest.raises(NoMail) as caught:
        await exchangers.hosts(domain)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, enhanced)


@ensureDeferred
async def test_not_knowing_is_not_no(exchangers: Exchangers) -> None:
    with pytest.raises(TemporaryFailure):
        await exchangers.hosts("broken.example")
    with pytest.raises(TemporaryFailure):
        await exchangers.addresses("broken.example")


@ensureDeferred
async def test_addresses(exchangers: Exchangers) -> None:
    assert (await exchangers.addresses("implicit.example")).addresses == ("::1", "127.0.0.9")
    assert (await exchangers.addresses("mx2.example.org")).addresses == ("127.0.0.2",)
    assert (await exchangers.addresses("nowhere.example")).addresses == ()
    assert (await exchangers.addresses("loop.example")).addresses == ()
