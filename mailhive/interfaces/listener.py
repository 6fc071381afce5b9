"""Listener: one protocol on one or more addresses."""

from zope.interface import Attribute, Interface

__all__ = ["IListenerFactory"]


class IListenerFactory(Interface):
    """Makes the service of the listeners that declare `protocol`."""

    settings = Attribute("attrs class of the listener's own configuration keys, or None.")

    def make_factory(name: str, listener, services, reactor):
        """Return the `IProtocolFactory` that serves connections of this listener.

        `listener` is an `app.Listener`: what the configuration says of this one;
        `services` the `services.Services` with every shared provider.  Makes no I/O;
        whatever must start and stop with the daemon is added to `services.parent`.

        The factory may have `drain()`: called once nothing new is accepted, it
        lets connections end and returns a Deferred that fires when they have.
        Its attribute `wiretap` is set: whether what connections say from then on is
        told to the log, without what lets somebody in.
        """
