"""PushSubscription/get and /set as clients see them (RFC 8620 §7.2)."""

from typing import Any

import pytest
import pytest_twisted

from mailhive.fetch.guard import Guard
from mailhive.jmap.limits import Limits
from mailhive.model.networks import Networks
from mailhive.model.utcdate import format_utc_date, parse_utc_date
from mailhive.testing.local import LocalStores, LocalUser
from mailhive.testing.web_push import Subscriber

DAY = 86_400_000
GOOD = {"deviceClientId": "phone", "url": "https://push.invalid/secret"}
KEYS = Subscriber().keys


async def call(user: LocalUser, method: str, **arguments: Any) -> Any:
    """Without an accountId, which these methods do not take."""
    response = await user.request([f"PushSubscription/{method}", arguments, "c"])
    name, result, _ = response["methodResponses"][0]
    return {"error": result} if name == "error" else result


async def create(user: LocalUser, **properties: Any) -> Any:
    set_ = await call(user, "set", create={"p": {**GOOD, **properties}})
    return set_["created"]["p"] if set_["created"] else set_["notCreated"]["p"]


@pytest_twisted.ensureDeferred
async def test_creating_getting_and_destroying(server: LocalUser) -> None:
    wanted = {"p": {**GOOD, "keys": KEYS, "types": ["Email"]}}
    set_ = await call(server, "set", create=wanted)
    assert set_.keys().isdisjoint({"accountId", "oldState", "newState"})
    made = set_["created"]["p"]
    assert made.keys() == {"id", "expires", "verificationCode"}
    assert made["verificationCode"] is None
    get = await call(server, "get")
    assert get.keys() == {"list", "notFound"}
    assert get["list"] == [{**made, "deviceClientId": "phone", "types": ["Email"]}]
    get = await call(server, "get", ids=[made["id"], "nobody"], properties=["types"])
    assert get["list"] == [{"id": made["id"], "types": ["Email"]}]
    assert get["notFound"] == ["nobody"]
    set_ = await call(server, "set", destroy=[made["id"], "nobody"])
    assert set_["destroyed"] == [made["id"]]
    assert set_["notDestroyed"] == {"nobody": {"type": "notFound"}}
    assert (await call(server, "get", ids=None))["list"] == []


@pytest_twisted.ensureDeferred
async def test_what_was_left_out_is_told(server: LocalUser) -> None:
    made = await create(server)
    assert made.keys() == {"id", "keys", "verificationCode", "expires", "types"}
    assert made["keys"] is made["types"] is None
    # One by a creation id of the same request.
    response = await server.request(
        ["PushSubscription/set", {"create": {"x": GOOD}}, "0"],
        ["PushSubscription/set", {"update": {"#x": {"types": []}}}, "1"],
        ["PushSubscription/set", {"destroy": ["#x"]}, "2"],
    )
    [created, updated, destroyed] = [result for _, result, _ in response["methodResponses"]]
    made_id = created["created"]["x"]["id"]
    assert updated["updated"] == {made_id: None}
    assert destroyed["destroyed"] == [made_id]


@pytest.mark.parametrize("properties", [["url"], ["id", "keys"], ["keys", "url"]])
@pytest_twisted.ensureDeferred
async def test_what_is_private_is_not_returned(server: LocalUser, properties: list[str]) -> None:
    assert (await call(server, "get", properties=properties))["error"]["type"] == "forbidden"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get", {"properties": ["colour"]}),
        ("get", {"ids": "P1"}),
        ("set", {"ifInState": "1"}),
        ("set", {"create": []}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_arguments_that_are_refused(server: LocalUser, method: str, arguments: Any) -> None:
    assert (await call(server, method, **arguments))["error"]["type"] == "invalidArguments"


@pytest_twisted.ensureDeferred
async def test_limits(stores: LocalStores, server: LocalUser) -> None:
    for _ in range(3):
        await create(server)
    small = await stores.user(server.principal, Limits(get=2, set=2))
    assert (await call(small, "get"))["error"]["type"] == "requestTooLarge"
    assert (await call(small, "get", ids=["a", "b", "c"]))["error"]["type"] == "requestTooLarge"
    destroy = ["a", "b", "c"]
    assert (await call(small, "set", destroy=destroy))["error"]["type"] == "requestTooLarge"


WRONG = {
    "deviceClientId": [None, "", 5, "x" * 256],
    "url": [
        *(None, 7, "", "push.invalid", "http://push.invalid/", "HTTPS://push.invalid/"),
        *("https://", "https:///x", "https://push.invalid:0/", "https://push.invalid:99999/"),
        *("https://somebody@push.invalid/", "https://push.invalid/ä b", "https://127.1/"),
        *("https://0x7f000001/", "https://2130706433/", "https://[::1/", "https://x/" + "y" * 2048),
    ],
    "keys": [
        *("", {}, {"p256dh": KEYS["p256dh"]}, {"auth": KEYS["auth"]}, {**KEYS, "more": "x"}),
        {**KEYS, "auth": KEYS["auth"][:-1]},
        {**KEYS, "auth": KEYS["auth"] + "AAAA"},
        {**KEYS, "p256dh": "BA" + 85 * "A"},  # no point of the curve
        {**KEYS, "p256dh": KEYS["p256dh"][:-4]},
        {**KEYS, "p256dh": "*" + KEYS["p256dh"][1:]},
        {**KEYS, "p256dh": None},
        {**KEYS, "p256dh": "ü" + KEYS["p256dh"][1:]},
    ],
    "verificationCode": ["code", 5],
    "expires": ["tomorrow", 5, "2020-01-01T00:00:00Z", "2090-01-01T00:00:00+01:00"],
    "types": ["Email", [5], [""], ["x" * 256], ["x"] * 257],
    "id": ["P1"],
    "colour": ["red"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_created(server: LocalUser, name: str, value: Any) -> None:
    error = await create(server, **{name: value})
    assert (error["type"], error["properties"]) == ("invalidProperties", [name])
    assert (await call(server, "get"))["list"] == []


@pytest_twisted.ensureDeferred
async def test_keys_may_be_padded(server: LocalUser) -> None:
    keys = {name: value + "=" * (-len(value) % 4) for name, value in KEYS.items()}
    assert "id" in await create(server, keys=keys)


@pytest_twisted.ensureDeferred
async def test_how_long_it_may_last(server: LocalUser) -> None:
    now = server.api.now()
    soon, late = format_utc_date(now + DAY), format_utc_date(now + 400 * DAY)
    latest = range(now + 30 * DAY - 1_000, now + 30 * DAY + 60_000)
    made = await create(server, expires=soon)
    assert "expires" not in made  # as it was asked for
    for wanted in (None, late):
        assert parse_utc_date((await create(server, expires=wanted))["expires"]) in latest
    for wanted in (None, late):
        set_ = await call(server, "set", update={made["id"]: {"expires": wanted}})
        assert parse_utc_date(set_["updated"][made["id"]]["expires"]) in latest
    set_ = await call(server, "set", update={made["id"]: {"expires": soon}})
    assert set_["updated"] == {made["id"]: None}
    get = await call(server, "get", ids=[made["id"]], properties=["expires"])
    assert get["list"] == [{"id": made["id"], "expires": soon}]


@pytest.mark.parametrize(
    ("patch", "kind"),
    [
        ({"url": "https://push.invalid/other"}, "invalidProperties"),
        ({"keys": None}, "invalidProperties"),
        ({"keys/auth": "x"}, "invalidProperties"),
        ({"deviceClientId": "tablet"}, "invalidProperties"),
        ({"verificationCode": "guess"}, "invalidProperties"),
        ({"expires": "2020-01-01T00:00:00Z"}, "invalidProperties"),
        ({"types": "Email"}, "invalidProperties"),
        ({"colour": "red"}, "invalidProperties"),
        ({"types/0": "Email"}, "invalidPatch"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_updates_that_are_refused(server: LocalUser, patch: Any, kind: str) -> None:
    made = await create(server, keys=KEYS, types=["Email"])
    set_ = await call(server, "set", update={made["id"]: patch, "nobody": {}})
    assert set_["notUpdated"][made["id"]]["type"] == kind
    assert set_["notUpdated"]["nobody"]["type"] == "notFound"
    get = await call(server, "get", properties=["types"])
    assert get["list"] == [{"id": made["id"], "types": ["Email"]}]


@pytest_twisted.ensureDeferred
async def test_hosts_that_are_not_public(
    stores: LocalStores, server: LocalUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores.push, "_guard", Guard())
    for host in ("127.0.0.1", "[::1]", "10.1.2.3", "[::ffff:192.168.0.1]", "169.254.169.254",
                 "localhost", "push.localhost", "0.0.0.0", "push.invalid:25"):  # fmt: skip
        error = await create(server, url=f"https://{host}/")
        assert (error["type"], error["properties"]) == ("invalidProperties", ["url"]), host
        assert error["description"].startswith("Nothing is pushed there: ")
    monkeypatch.setattr(stores.push, "_guard", Guard(Networks.parse(["10.0.0.0/8"])))
    assert "id" in await create(server, url="https://10.1.2.3/")
