"""Whom connections are made to: the guard's place is between resolving and connecting."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from mailhive.fetch.errors import FetchRefused
from mailhive.fetch.guard import Guard

__all__ = ["Endpoints"]


@implementer(IAgentEndpointFactory)
@define(eq=False)
class Endpoints:
    """How to connect to the host of a URI; `guard` says whom not to, None stands for nobody."""

    _reactor: Any
    _resolver: IHostnameResolver
    _policy: IPolicyForHTTPS
    _guard: Guard | None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        resolver = _GuardedResolver(self._resolver, self._guard)
        reactor = _Resolving(self._reactor, resolver)
        endpoint: Any = HostnameEndpoint(reactor, uri.host, uri.port)
        if uri.scheme == b"https":
            creator = self._policy.creatorForNetloc(uri.host, uri.port)
            endpoint = wrapClientTLS(creator, endpoint, self._reactor)
        return _GuardedEndpoint(endpoint, resolver)


@implementer(IReactorPluggableNameResolver)
class _Resolving:
    """The reactor, with a resolver of its own."""

    def __init__(self, reactor: Any, resolver: IHostnameResolver) -> None:
        self._reactor = reactor
        self.nameResolver = resolver

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        before, self.nameResolver = self.nameResolver, resolver
        return before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IHostnameResolver)
@define(eq=False)
class _GuardedResolver:
    """A resolver for one connection: no address at all if there is one that is refused.

    The endpoint connects to the addresses that it is given here; nobody looks the name up
    again.  `refused` says afterwards why there were none.
    """

    _resolver: IHostnameResolver
    _guard: Guard | None
    refused: str | None = None

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        receiver = _AllOrNone(self, resolutionReceiver)
        return self._resolver.resolveHostName(
            receiver, hostName, portNumber, addressTypes, transportSemantics
        )

    def passes(self, addresses: list[Any]) -> bool:
        if self._guard is not None:
            reasons = (self._guard.refuses(address.host) for address in addresses)
            self.refused = next((reason for reason in reasons if reason is not None), None)
        return self.refused is None


@implementer(IResolutionReceiver)
@define(eq=False)
class _AllOrNone:
    _resolver: _GuardedResolver
    _receiver: IResolutionReceiver
    _addresses: list[IAddress] = field(factory=list)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        self._addresses.append(address)

    def resolutionComplete(self) -> None:
        if self._resolver.passes(self._addresses):
            for address in self._addresses:
                self._receiver.addressResolved(address)
        self._receiver.resolutionComplete()


@implementer(IStreamClientEndpoint)
@define(eq=False)
class _GuardedEndpoint:
    _endpoint: IStreamClientEndpoint
    _resolver: _GuardedResolver

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addErrback(self._explain)

    def _explain(self, failure: Failure) -> Failure:
        if self._resolver.refused is not None:
            raise FetchRefused(self._resolver.refused)
        return failure
