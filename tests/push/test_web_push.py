"""Changes told to URLs of clients, by a push service that does what it likes (RFC 8620 §7.2)."""

from typing import Any

import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from mailhive.model.principal import Principal
from mailhive.push.hub import GATHER
from mailhive.push.subscriptions import KEY_FILE
from mailhive.testing.local import LocalStores, LocalUser
from mailhive.testing.pusher import Pusher, read
from mailhive.testing.web_push import HANG, Answer, PushService, Subscriber, check_vapid

MESSAGE = b"Subject: s\r\n\r\nbody\r\n"


async def states(user: LocalUser, *types: str) -> dict[str, str]:
    return {name: (await user.call(f"{name}/get", ids=[]))["state"] for name in types}


async def settled() -> None:
    """Long enough for whatever would be pushed now."""
    await deferLater(reactor, GATHER * 5)


@pytest_twisted.ensureDeferred
async def test_an_encrypted_and_signed_push(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    phone = Subscriber()
    subscription_id = await pusher.subscribe(server, phone)
    key = (await pusher.known_to(server).session())["capabilities"][
        "urn:ietf:params:jmap:webpush-vapid"
    ]["applicationServerKey"]
    await server.add(MESSAGE)
    push = await service.next()
    told = phone.read(push.headers, push.body)
    assert told["@type"] == "StateChange"
    changed = told["changed"][server.account_id]
    assert changed.keys() == {"Email", "EmailDelivery", "Mailbox", "Thread"}
    assert changed.items() >= (await states(server, "Email", "Mailbox", "Thread")).items()
    for sent in service.received:  # RFC 9749 §4: the PushVerification is signed too
        claims = check_vapid(sent.headers["authorization"], key)
        assert claims["aud"] == service.url().rstrip("/")
        assert claims["sub"] == "mailto:postmaster@example.org"
        assert 29 * 86_400 < int(sent.headers["ttl"]) <= 30 * 86_400
        assert sent.path == "phone"
    assert service.received[-1].headers["urgency"] == "normal"
    get = await pusher.known_to(server).call("PushSubscription/get")
    [found] = get["list"]
    assert found["id"] == subscription_id
    assert found["verificationCode"]
    assert found.keys().isdisjoint({"url", "keys"})


@pytest_twisted.ensureDeferred
async def test_nothing_is_sent_before_the_code_came_back(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    user = pusher.known_to(server)
    wanted = {"deviceClientId": "d", "url": service.url("d")}
    set_ = await user.call("PushSubscription/set", create={"p": wanted})
    subscription_id = set_["created"]["p"]["id"]
    code = read(await service.next())["verificationCode"]
    await pusher.until(lambda: not pusher.entry().is_new)
    await server.add(MESSAGE)
    pusher.clock.advance(3600)
    await settled()
    for wrong in ("", code[:-1], code + "x", "ü", "null"):
        set_ = await user.call(
            "PushSubscription/set", update={subscription_id: {"verificationCode": wrong}}
        )
        error = set_["notUpdated"][subscription_id]
        assert (error["type"], error["properties"]) == ("invalidProperties", ["verificationCode"])
    assert (await user.call("PushSubscription/get"))["list"][0]["verificationCode"] is None
    await settled()
    assert len(service.received) == 1
    # What has changed since it was created is told then, and nothing twice.
    update = {subscription_id: {"verificationCode": code}}
    set_ = await user.call("PushSubscription/set", update=update)
    assert set_["updated"] == {subscription_id: None}
    told = read(await service.next())["changed"][server.account_id]
    assert told["Email"] == (await states(server, "Email"))["Email"]
    set_ = await user.call("PushSubscription/set", update=update)
    assert set_["updated"] == {subscription_id: None}
    await settled()
    assert len(service.received) == 2


@pytest_twisted.ensureDeferred
async def test_only_the_types_that_were_asked_for(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    email_id = await server.add(MESSAGE)
    subscription_id = await pusher.subscribe(server, types=["EmailDelivery", "Todo"])
    await server.call("Email/set", update={email_id: {"keywords/$seen": True}})
    await settled()
    assert len(service.received) == 1
    await server.add(MESSAGE)
    told = read(await service.next())["changed"]
    assert told[server.account_id].keys() == {"EmailDelivery"}
    await pusher.rest()
    await pusher.known_to(server).call(
        "PushSubscription/set", update={subscription_id: {"types": ["Mailbox"]}}
    )
    pusher.clock.advance(60)
    await server.call("Mailbox/set", create={"m": {"name": "m"}})
    told = read(await service.next())["changed"]
    assert told[server.account_id] == await states(server, "Mailbox")


@pytest_twisted.ensureDeferred
async def test_a_service_that_fails_in_every_way(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    await pusher.subscribe(server, Subscriber())
    await pusher.stop()
    pusher.timeout = 3.0  # by the real clock, and all others have to be answered in it
    pusher.start()
    service.script = [
        Answer(500),
        Answer(429, {"Retry-After": "100"}),
        HANG,
        Answer(503, {"Retry-After": "200"}),
        Answer(),
        Answer(410),
    ]
    await server.add(MESSAGE)

    async def comes_after(seconds: int, outcome: str, failures: int) -> None:
        """The next push is that one's and no earlier."""
        await pusher.until(lambda: pusher.entry().failures == failures)
        assert pusher.entry().outcome == outcome
        count = len(service.received)
        pusher.clock.advance(seconds - 0.5)
        await settled()
        assert len(service.received) == count
        pusher.clock.advance(1)
        await service.next()

    await service.next()
    await comes_after(10, "500", 1)
    await comes_after(100, "429", 2)
    interval = pusher.entry().interval
    assert interval == 2_000  # from now on seldomer: it was a second
    await comes_after(40, "there was no answer within 3 seconds", 3)
    await comes_after(200, "503", 4)
    await pusher.until(lambda: pusher.entry().failures == 0)
    assert pusher.entry().outcome == "201"
    assert interval > pusher.entry().interval > 1_000
    assert len(service.received) == 6
    # What is gone is erased, and nothing more is sent there.
    url = service.url("phone").encode()
    assert any(url in path.read_bytes() for path in pusher.directory.glob("push.sqlite*"))
    pusher.clock.advance(10)
    await server.add(MESSAGE)
    await service.next()
    await pusher.until(lambda: not pusher.entries())
    await settled()
    assert not any(url in path.read_bytes() for path in pusher.directory.glob("push.sqlite*"))
    assert (await pusher.known_to(server).call("PushSubscription/get"))["list"] == []
    await server.add(MESSAGE)
    await settled()
    assert len(service.received) == 7


@pytest_twisted.ensureDeferred
async def test_what_changes_meanwhile_is_told_as_one(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    await pusher.subscribe(server)
    service.script = [Answer(502), Answer(502)]
    await server.add(MESSAGE)
    await service.next()
    for failures in (1, 2):
        await pusher.until(lambda failures=failures: pusher.entry().failures == failures)
        for _ in range(3):
            await server.add(MESSAGE)
        await settled()
        pusher.clock.advance(30)
        push = await service.next()
    told = read(push)["changed"][server.account_id]
    now = await states(server, "Email", "Mailbox", "Thread")
    assert told.items() >= now.items()
    await pusher.until(lambda: pusher.entry().failures == 0)
    # The throttle: one at once, the next after a second, with all that has happened.
    pusher.clock.advance(5)
    await server.add(MESSAGE)
    await service.next()
    await pusher.until(lambda: pusher.entry().due_at > pusher.clock.seconds() * 1000)
    count = len(service.received)
    for _ in range(3):
        await server.add(MESSAGE)
        await settled()
    assert len(service.received) == count
    pusher.clock.advance(1.1)
    told = read(await service.next())["changed"][server.account_id]
    assert told["Email"] == (await states(server, "Email"))["Email"]
    await settled()
    assert len(service.received) == count + 1


@pytest_twisted.ensureDeferred
async def test_what_happened_while_nobody_was_there(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    await pusher.subscribe(server)
    await server.add(MESSAGE)
    await service.next()
    await pusher.rest()
    pusher.clock.advance(5)
    await pusher.stop()
    pusher.start()
    await settled()
    assert len(service.received) == 2  # nothing new
    await pusher.stop()
    await server.add(MESSAGE)
    pusher.start()
    told = read(await service.next())["changed"][server.account_id]
    assert told["Email"] == (await states(server, "Email"))["Email"]
    # Stopped while a push is under way: it may have come, so it comes again.
    service.script = [HANG]
    await pusher.until(lambda: pusher.entry().due_at > pusher.clock.seconds() * 1000)
    pusher.clock.advance(5)
    await server.add(MESSAGE)
    lost = read(await service.next())
    await pusher.stop()
    pusher.start()
    assert read(await service.next()) == lost


@pytest_twisted.ensureDeferred
async def test_a_verification_that_cannot_be_sent(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    user = pusher.known_to(server)
    service.script = [Answer(500)] * 6
    wanted = {"deviceClientId": "d", "url": service.url("d")}
    await user.call("PushSubscription/set", create={"p": wanted})
    for failures in range(1, 6):
        await service.next()
        await pusher.until(lambda failures=failures: pusher.entry().failures == failures)
        await pusher.stop()
        pusher.start()
        await settled()
        pusher.clock.advance(3600)
    await service.next()
    await pusher.until(lambda: not pusher.entries())
    assert len(service.received) == 6


@pytest_twisted.ensureDeferred
async def test_a_code_that_comes_back_before_the_push_service_has_answered(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    user = pusher.known_to(server)
    service.script = [HANG]
    wanted = {"deviceClientId": "d", "url": service.url("d")}
    set_ = await user.call("PushSubscription/set", create={"p": wanted})
    subscription_id = set_["created"]["p"]["id"]
    code = read(await service.next())["verificationCode"]
    update = {subscription_id: {"verificationCode": code}}
    assert (await user.call("PushSubscription/set", update=update))["updated"]
    await server.add(MESSAGE)
    service.answer_hanging()
    await pusher.until(lambda: pusher.entry().outcome)
    pusher.clock.advance(2)
    assert server.account_id in read(await service.next())["changed"]
    assert pusher.entry().state == "verified"


@pytest_twisted.ensureDeferred
async def test_subscriptions_end(server: LocalUser, pusher: Pusher, service: PushService) -> None:
    await pusher.subscribe(server)
    pusher.clock.advance(30 * 86_400 - 100)
    await settled()
    assert pusher.entries()
    assert (await pusher.known_to(server).call("PushSubscription/get"))["list"]
    pusher.clock.pump([1.0] * 200)  # nobody did anything
    assert (await pusher.known_to(server).call("PushSubscription/get"))["list"] == []
    await pusher.until(lambda: not pusher.entries())
    await server.add(MESSAGE)
    await settled()
    assert len(service.received) == 1


@pytest_twisted.ensureDeferred
async def test_a_code_that_never_comes_back(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    wanted = {"deviceClientId": "d", "url": service.url("d")}
    await pusher.known_to(server).call("PushSubscription/set", create={"p": wanted})
    await service.next()
    await pusher.until(lambda: not pusher.entry().is_new)
    pusher.clock.advance(86_000)
    await settled()
    assert pusher.entries()
    pusher.clock.pump([10.0] * 100)
    await pusher.until(lambda: not pusher.entries())
    assert len(service.received) == 1


@pytest_twisted.ensureDeferred
async def test_subscriptions_go_with_their_user(
    stores: LocalStores, server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    await pusher.subscribe(server)
    stores.directory.remove("alice")
    await server.add(MESSAGE)
    await pusher.until(lambda: not pusher.entries())
    assert len(service.received) == 1


@pytest_twisted.ensureDeferred
async def test_subscriptions_belong_to_a_credential(
    stores: LocalStores, pusher: Pusher, service: PushService
) -> None:
    known: dict[str, Any] = {"one": {"one", "two"}}

    class Directory:
        """The stores' directory, if passwords were named there."""

        def principal(self, name: str) -> Deferred[Principal | None]:
            found = stores.directory.principal(name)
            held = frozenset(known["one"])
            return found.addCallback(lambda p: p and evolve(p, credentials=held))

    await pusher.stop()
    pusher.stores = evolve(stores, directory=Directory())  # type: ignore[arg-type]
    pusher.start()
    alice = await stores.user(Principal("alice", credential="one"))
    again = await stores.user(Principal("alice", credential="two"))
    first = await pusher.subscribe(alice)
    second = await pusher.subscribe(again, deviceClientId="other")
    for user, its in ((alice, first), (again, second)):
        other = {first, second} - {its}
        known_user = pusher.known_to(user)
        get = await known_user.call("PushSubscription/get", ids=[first, second])
        assert ([s["id"] for s in get["list"]], set(get["notFound"])) == ([its], other)
        set_ = await known_user.call("PushSubscription/set", destroy=[*other])
        assert {e["type"] for e in set_["notDestroyed"].values()} == {"notFound"}
    known["one"] = {"two"}
    await alice.add(MESSAGE)
    await pusher.until(lambda: len(pusher.entries()) == 1)
    assert pusher.entry().subscription.id == second
    await service.next()


@pytest_twisted.ensureDeferred
async def test_accounts_that_are_shared(
    stores: LocalStores, pusher: Pusher, service: PushService
) -> None:
    stores.directory.put(Principal("team", type="group"))
    alice = await stores.user(Principal("alice", member_of=("team",)))
    bob = await stores.user(Principal("bob", member_of=("team",)))
    team = await bob.shared("team")
    await alice.session()
    await pusher.subscribe(alice)
    await team.add(MESSAGE)
    told = read(await service.next())["changed"]
    assert told.keys() == {team.account_id}
    await pusher.rest()
    pusher.clock.advance(5)
    stores.directory.put(Principal("alice"))
    await alice.add(MESSAGE)
    assert read(await service.next())["changed"].keys() == {alice.account_id}
    await pusher.rest()
    pusher.clock.advance(5)
    await team.add(MESSAGE)
    await settled()
    assert len(service.received) == 3
    # Whoever joins knows nothing of the account so far.
    stores.directory.put(Principal("alice", member_of=("team",)))
    pusher.clock.pump([1.0] * 60)
    told = read(await service.next())["changed"]
    assert told.keys() == {team.account_id}
    assert told[team.account_id].items() >= (await states(team, "Email", "Mailbox")).items()


@pytest_twisted.ensureDeferred
async def test_another_key_ends_all_subscriptions(
    server: LocalUser, pusher: Pusher, service: PushService
) -> None:
    before = await pusher.known_to(server).session()
    await pusher.subscribe(server)
    await pusher.stop()
    (pusher.directory / KEY_FILE).unlink()
    pusher.start()
    assert pusher.entries() == []
    after = await pusher.known_to(server).session()
    # RFC 9749 §5: clients see by the state that there is another.
    assert before["state"] != after["state"]
    [old, new] = [
        session["capabilities"]["urn:ietf:params:jmap:webpush-vapid"] for session in (before, after)
    ]
    assert old != new


@pytest_twisted.ensureDeferred
async def test_how_many_there_may_be(server: LocalUser, pusher: Pusher) -> None:
    user = pusher.known_to(server)
    wanted = {"deviceClientId": "d", "url": "https://push.invalid/"}

    async def create(count: int) -> Any:
        create = {f"p{n}": wanted for n in range(count)}
        return await user.call("PushSubscription/set", create=create)

    made = await create(21)
    assert len(made["created"]) == 20
    [error] = made["notCreated"].values()
    assert error["type"] == "overQuota"
    ids = [p["id"] for p in made["created"].values()]
    gone = await user.call("PushSubscription/set", destroy=ids)
    assert sorted(gone["destroyed"]) == sorted(ids)
    made = await create(11)
    assert len(made["created"]) == 10
    [error] = made["notCreated"].values()
    assert error["type"] == "rateLimit"
    pusher.clock.advance(3601)
    assert len((await create(1))["created"]) == 1
