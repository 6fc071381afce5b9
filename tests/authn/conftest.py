"""A zone of names as the resolver of the tests."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from mailhive.authn.dns import DnsFailure


class Zone:
    """`{"example.org": {"A": [...], "TXT": [...]}}`; an exception in place of a list is raised.

    Counts in `asked` what it is asked for.
    """

    def __init__(self, names):
        self.names = {name.lower(): records for name, records in names.items()}
        self.asked = []

    def _records(self, name, kind):
        name = name.lower().rstrip(".")
        self.asked.append((kind, name))
        found = self.names.get(name, {}).get(kind, [])
        if found is DnsFailure:
            raise DnsFailure(f"{name} did not answer")
        return found

    async def txt(self, name):
        texts = self._records(name, "TXT")
        return [text if isinstance(text, bytes) else text.encode() for text in texts]

    async def a(self, name):
        return [IPv4Address(address) for address in self._records(name, "A")]

    async def aaaa(self, name):
        return [IPv6Address(address) for address in self._records(name, "AAAA")]

    async def mx(self, name):
        return self._records(name, "MX")

    async def ptr(self, address):
        return self._records(address.reverse_pointer, "PTR")


def _run(coroutine):
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


@pytest.fixture
def zone():
    return Zone


@pytest.fixture
def run():
    return _run
