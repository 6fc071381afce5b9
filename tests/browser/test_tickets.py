"""Tickets, as a page that has one finds them."""

import time
from collections.abc import Iterator

import pytest

from mailhive.testing.process import DaemonProcess

pytestmark = pytest.mark.system

#: How the opening of a connection ends.
SOCKET = """
    const socket = new WebSocket(client.socketUrl(args[0]), "jmap");
    return new Promise((resolve) => {
      socket.onopen = () => { resolve("open"); socket.close(); };
      socket.onclose = ({ code }) => resolve(code);
    });
"""
EVENTS = """
    const events = new EventSource(client.eventsUrl(args[0]));
    return new Promise((resolve) => {
      events.onopen = () => { resolve("open"); events.close(); };
      events.onerror = () => resolve(events.readyState);
    });
"""
#: What a page is told of an answer other than 101 or 200.
ABNORMAL_CLOSURE, CLOSED = 1006, 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, origin: str) -> Iterator[DaemonProcess]:
    with DaemonProcess(
        tmp_path_factory.mktemp("daemon"), extra=f'[jmap.http]\nallowed-origins = ["{origin}"]\n'
    ) as daemon:
        yield daemon


@pytest.fixture
def client(page, server, origin):
    """A page that has logged in as alice."""
    page.open(origin)
    page.start_client(server, start="login")
    return page


def new_ticket(page) -> str:
    return page.run("return client.ticket()")


@pytest.mark.parametrize("first", [SOCKET, EVENTS])
@pytest.mark.parametrize(
    ("second", "refused"), [(SOCKET, ABNORMAL_CLOSURE), (EVENTS, CLOSED)], ids=["socket", "events"]
)
def test_a_ticket_opens_one_connection(client, first, second, refused):
    ticket = new_ticket(client)
    assert client.run(first, ticket) == "open"
    assert client.run(second, ticket) == refused
    assert client.run(second, new_ticket(client)) == "open"


def test_a_browser_does_not_come_back_with_its_ticket(client, server):
    """It would try again and again, if it was not told that this is in vain."""
    errors = client.run(
        """
        const events = new EventSource(client.eventsUrl(await client.ticket(),
                                                        { closeafter: "state" }));
        const states = [];
        events.onopen = () => client.call("Mailbox/set", { create: { m: { name: "New" } } });
        return new Promise((resolve) => {
          events.onerror = () => {
            states.push(events.readyState);
            if (events.readyState === EventSource.CLOSED) resolve(states);
          };
        });
        """
    )
    assert errors == [0, CLOSED]  # it tries once
    assert "/jmap/eventsource 401" in server.log()


@pytest.mark.parametrize("ticket", ["", "never-issued"])
def test_what_is_no_ticket(client, ticket):
    assert client.run(SOCKET, ticket) == ABNORMAL_CLOSURE
    assert client.run(EVENTS, ticket) == CLOSED


def test_a_ticket_is_for_one_path_of_one_kind(client):
    """It opens nothing that a header field can be sent to."""
    ticket = new_ticket(client)
    statuses = client.run(
        """
        const { apiUrl, downloadUrl } = client.session;
        const urls = [apiUrl, client.server + "/.well-known/jmap"];
        return Promise.all(urls.map(async (url) =>
          (await fetch(url + "?ticket=" + args[0])).status));
        """,
        ticket,
    )
    assert statuses == [401, 401]
    assert client.run(SOCKET, ticket) == "open"


def test_a_ticket_is_its_users(client, server, deliver):
    """Whoever is logged in there: the connection is bob's, with what he may see."""
    page, accounts = client, {}
    accounts["alice"] = page.run("return client.accountId")
    page.run("window.alice = client")
    page.start_client(server, "bob", start="login")
    accounts["bob"] = page.run("return client.accountId")
    answers = page.run(
        """
        window.heard = { socket: [], events: [] };
        const opened = (connection) =>
          new Promise((resolve) => { connection.onopen = () => resolve(connection); });
        const tickets = [await client.ticket(), await client.ticket()];
        const [socket, events] = await Promise.all([
          opened(new WebSocket(alice.socketUrl(tickets[0]), "jmap")),
          opened(new EventSource(alice.eventsUrl(tickets[1]))),
        ]);
        events.addEventListener("state", ({ data }) =>
          heard.events.push(Object.keys(JSON.parse(data).changed)));
        socket.send(JSON.stringify({ "@type": "WebSocketPushEnable", dataTypes: null }));
        const answers = [];
        for (const accountId of args) {
          socket.send(JSON.stringify({
            "@type": "Request", using: [CORE, MAIL],
            methodCalls: [["Mailbox/get", { accountId, ids: [] }, "0"]],
          }));
          answers.push(await new Promise((resolve) => {
            socket.onmessage = ({ data }) => resolve(JSON.parse(data).methodResponses[0]);
          }));
        }
        socket.onmessage = ({ data }) =>
          heard.socket.push(Object.keys(JSON.parse(data).changed));
        return answers;
        """,
        *(accounts["alice"], accounts["bob"]),
    )
    assert [name for name, _, _ in answers] == ["error", "Mailbox/get"]
    assert answers[0][1]["type"] == "accountNotFound"
    deliver(server, "to alice", "alice")
    deliver(server, "to bob", "bob")
    page.wait("heard.socket.length && heard.events.length")
    assert page.run("return heard") == {
        "socket": [[accounts["bob"]]],
        "events": [[accounts["bob"]]],
    }


def test_a_ticket_expires(client):
    lifetime = client.run("return client.session.capabilities[TICKETS].lifetime")
    tickets = [new_ticket(client), new_ticket(client)]
    time.sleep(lifetime)
    assert client.run(SOCKET, tickets[0]) == ABNORMAL_CLOSURE
    assert client.run(EVENTS, tickets[1]) == CLOSED
