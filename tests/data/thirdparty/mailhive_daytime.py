"""`protocol = "daytime"`: tells the time to whoever connects (RFC 867)."""

from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from attrs.validators import max_len
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from mailhive.config.settings import doc
from mailhive.interfaces.listener import IListenerFactory
from mailhive.registry import Provider


@frozen
class DaytimeSettings:
    """The time of day."""

    greeting: str = field(
        default="It is",
        validator=max_len(100),
        metadata=doc("What comes before the time."),
    )


class Daytime(Protocol):
    transport: Any

    def connectionMade(self) -> None:
        now = datetime.fromtimestamp(self.factory.reactor.seconds(), UTC)
        self.transport.write(f"{self.factory.greeting} {now:%c}\r\n".encode())
        self.transport.loseConnection()


@implementer(IListenerFactory)
class DaytimeListener:
    def make_factory(self, name: str, listener: Any, services: Any, reactor: Any) -> Factory:
        factory = Factory.forProtocol(Daytime)
        factory.reactor = reactor
        factory.greeting = listener.settings.greeting
        return factory


PROVIDER = Provider(DaytimeSettings, lambda settings, context: DaytimeListener())
