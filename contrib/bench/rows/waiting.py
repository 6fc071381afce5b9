"""WebSockets and event sources."""

import itertools
import json
import time

from jmap import Failed, answers
from websocket import EventSource, WebSocket

from rows.reading import KEYWORD
from rows.site import Measurements, Site, row

PATIENCE = 10.0


@row("WebSocket Core/echo", goal=5, limit=False, sized=False)
def websocket_echo(site: Site) -> Measurements:
    request = site.account.request_object([("Core/echo", {"hello": "world", "number": 42})])
    message = json.dumps({"@type": "Request", "id": "r", **request}).encode()
    socket = WebSocket(site.account)
    try:
        while True:
            answers(socket.request(message))
            yield socket.seconds
    finally:
        socket.close()


@row("push to event source", rounds=10, limit=False, sized=False)
def push(site: Site) -> Measurements:
    """From the answer to a change until another connection of the user has heard of it."""
    events = EventSource(site.account)
    [email] = site.inbox_ids(1)
    try:
        for value in itertools.cycle((True, None)):
            time.sleep(0.2)
            while events.wait(0.3) is not None:  # of what was before
                pass
            site.update({email: {f"keywords/{KEYWORD}": value}})
            begin = time.perf_counter()
            told = events.wait(PATIENCE)
            if told is None:
                raise Failed(f"no StateChange in {PATIENCE:.0f} s")
            yield max(0.0, told - begin)
    finally:
        events.close()
        site.update({email: {f"keywords/{KEYWORD}": None}})
