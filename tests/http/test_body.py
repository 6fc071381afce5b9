"""A body waits for its reader, is bounded, and ends in exactly one way."""

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from mailhive.http.body import HIGH_WATER, Body, ClientGone


class TooLarge(Exception):
    pass


@define
class Flow:
    calls: list[str] = field(factory=list)

    def hold(self):
        self.calls.append("hold")

    def release(self):
        self.calls.append("release")

    def send_continue(self):
        self.calls.append("continue")


def reading(body, sink=None, limit=1_000_000):
    """Start reading; what has been read, and how it ended."""
    data, ends = [], []
    done = body.read(sink or data.append, limit=limit, too_large=TooLarge())
    done.addCallbacks(lambda _: ends.append("done"), lambda f: ends.append(f.type))
    return data, ends


def test_data_waits_for_the_reader():
    body = Body(Flow(), 6)
    body.data_received(b"abc")
    data, ends = reading(body)
    assert (data, ends) == ([b"abc"], [])
    body.data_received(b"def")
    body.ended()
    assert (data, ends) == ([b"abc", b"def"], ["done"])


def test_a_complete_body_is_read_at_once():
    body = Body(Flow(), 3)
    body.data_received(b"abc")
    body.ended()
    assert reading(body) == ([b"abc"], ["done"])


def test_no_body_is_an_empty_one():
    assert reading(Body(Flow(), 0)) == ([], ["done"])


def test_the_connection_is_held_while_nobody_reads():
    flow = Flow()
    body = Body(flow, None)
    body.data_received(b"x" * HIGH_WATER)
    assert flow.calls == []
    body.data_received(b"x")
    body.data_received(b"x")
    assert flow.calls == ["hold"]
    reading(body)
    assert flow.calls == ["hold", "release"]


def test_continue_is_sent_when_the_body_is_wanted():
    flow = Flow()
    body = Body(flow, 3, expects_continue=True)
    assert flow.calls == []
    reading(body)
    assert flow.calls == ["continue"]


def test_continue_is_not_sent_to_a_client_that_did_not_wait():
    flow = Flow()
    body = Body(flow, 3, expects_continue=True)
    body.data_received(b"a")
    reading(body)
    assert flow.calls == []


def test_continue_is_not_sent_for_a_body_that_is_refused():
    flow = Flow()
    assert reading(Body(flow, 11, expects_continue=True), limit=10) == ([], [TooLarge])
    assert flow.calls == []


def test_a_body_that_grows_too_large_is_cut():
    body = Body(Flow(), None)
    data, ends = reading(body, limit=5)
    body.data_received(b"abcde")
    body.data_received(b"f")
    body.data_received(b"g")
    body.ended()
    assert (data, ends) == ([b"abcde"], [TooLarge])


def test_an_error_of_the_sink_ends_reading():
    def sink(data):
        raise OSError("disk full")

    body = Body(Flow(), None)
    _, ends = reading(body, sink)
    body.data_received(b"a")
    body.data_received(b"b")
    body.ended()
    assert ends == [OSError]


def test_a_lost_connection_ends_reading():
    body = Body(Flow(), 5)
    _, ends = reading(body)
    body.data_received(b"a")
    body.connection_lost()
    assert ends == [ClientGone]


def test_reading_after_the_connection_was_lost():
    body = Body(Flow(), 5)
    body.connection_lost()
    assert reading(body) == ([], [ClientGone])


def test_a_complete_body_outlives_its_connection():
    body = Body(Flow(), 1)
    body.data_received(b"a")
    body.ended()
    body.connection_lost()
    assert reading(body) == ([b"a"], ["done"])


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=8),
    st.integers(0, 8),
    st.integers(0, 100),
)
def test_whatever_the_order_all_or_the_limit(chunks, before, limit):
    body = Body(Flow(), None)
    for chunk in chunks[:before]:
        body.data_received(chunk)
    data, ends = reading(body, limit=limit)
    for chunk in chunks[before:]:
        body.data_received(chunk)
    body.ended()
    whole = b"".join(chunks)
    if len(whole) <= limit:
        assert (b"".join(data), ends) == (whole, ["done"])
    else:
        assert ends == [TooLarge]
        assert whole.startswith(b"".join(data))
        assert sum(map(len, data)) <= limit


@pytest.mark.parametrize("held", [False, True])
def test_discarding_lets_the_rest_pass(held):
    flow = Flow()
    body = Body(flow, None)
    body.data_received(b"x" * (HIGH_WATER + held))
    body.discard()
    body.data_received(b"x")
    assert flow.calls == (["hold", "release"] if held else [])
