"""Messages between workers, however they are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport

from mailhive.errors import MailhiveError, OverQuota
from mailhive.jmap.errors import RequestError, SetError
from mailhive.workers.link import Answer, Call, Hello, Link, Refusal, Tell, encode

VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=5,
)
MESSAGES = st.one_of(
    st.builds(Hello, st.integers(0, 63)),
    st.builds(Call, st.integers(0), st.text(), st.tuples(VALUES)),
    st.builds(Tell, st.text(), st.tuples(VALUES, VALUES)),
    st.builds(Answer, st.integers(0), VALUES),
)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_messages_arrive_in_order_however_they_are_cut(messages, cuts):
    heard = []
    link = Link(lambda _, message: heard.append(message), lambda _: None)
    link.makeConnection(StringTransport())
    octets = b"".join(map(encode, messages))
    places = [0, *sorted(min(cut, len(octets)) for cut in cuts), len(octets)]
    for start, end in pairwise(places):
        link.dataReceived(octets[start:end])
    assert heard == messages


def test_errors_arrive_as_they_were_raised():
    for error in (
        MailhiveError("no"),
        OverQuota("full"),
        RequestError("limit", "too many", status=429, limit="maxCalls"),
        SetError("invalidProperties", "wrong", properties=["a"]),
        KeyError("a"),
    ):
        (message,) = _sent(Refusal.of(7, error))
        arrived = message.error()
        assert type(arrived) is type(error)
        assert arrived.args == error.args
        assert vars(arrived) == vars(error)
        assert str(arrived) == str(error)


def _sent(message):
    heard = []
    link = Link(lambda _, message: heard.append(message), lambda _: None)
    link.makeConnection(StringTransport())
    link.dataReceived(encode(message))
    return heard
