"""A capability that is taken away is gone everywhere."""

import json
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve

from mailhive.jmap.errors import RequestError
from mailhive.jmap.registry import Registry, optional_capabilities
from mailhive.testing.local import LocalUser

ALL = Registry.load()
CORE = "urn:ietf:params:jmap:core"


@pytest.mark.parametrize("uri", optional_capabilities())
@pytest_twisted.ensureDeferred
async def test_gone_everywhere(server: LocalUser, uri: str) -> None:
    without = evolve(server, api=evolve(server.api, registry=Registry.load([uri])))
    before, after = await server.session(), await without.session()
    assert uri not in json.dumps(after)
    assert after["state"] != before["state"]
    assert after["capabilities"].keys() == before["capabilities"].keys() - {uri}
    for account_id, account in after["accounts"].items():
        known = before["accounts"][account_id]["accountCapabilities"].keys()
        assert account["accountCapabilities"].keys() == known - {uri}

    with pytest.raises(RequestError) as caught:
        await without.request(["Core/echo", {}, "0"], using=[CORE, uri])
    assert caught.value.kind == "unknownCapability"  # RFC 8620 §3.6.1

    using = sorted(after["capabilities"])
    for name, (capability, _) in ALL.methods.items():
        response = await without.request([name, {"accountId": "none"}, "0"], using=using)
        answered, result, _ = response["methodResponses"][0]
        gone = answered == "error" and result["type"] == "unknownMethod"
        assert gone is (capability.uri == uri), name


def test_the_core_stays() -> None:
    assert CORE not in optional_capabilities()
    assert CORE in Registry.load(optional_capabilities()).capabilities


def test_nothing_is_gone_by_default() -> None:
    registry: Any = Registry.load()
    assert {*registry.capabilities, *registry.without_methods} == {CORE, *optional_capabilities()}


@pytest_twisted.ensureDeferred
async def test_the_session_names_all_of_them(server: LocalUser) -> None:
    assert (await server.session())["capabilities"].keys() == {CORE, *optional_capabilities()}
