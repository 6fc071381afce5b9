"""Does a host have a name that leads back to it?  iprev (RFC 8601 §2.7.3, §3)."""

from attrs import frozen

from mailhive.authn.dns import DnsFailure, IpAddress, Resolver

__all__ = ["IprevVerdict", "confirmed_name"]

_NAMES = 10  # as SPF has it: RFC 7208 §5.5


@frozen
class IprevVerdict:
    """`result` is pass, fail, permerror (there is no name) or temperror; `name` the first

    that leads back to the host, and if none does, one that does not.
    """

    result: str
    name: str = ""


async def confirmed_name(resolver: Resolver, address: IpAddress) -> IprevVerdict:
    """The verdict on a host.  Takes as long as the resolver."""
    try:
        names = await resolver.ptr(address)
    except DnsFailure:
        return IprevVerdict("temperror")
    names = [name for name in dict.fromkeys(names) if name][:_NAMES]
    if not names:
        return IprevVerdict("permerror")
    unknown = False
    for name in names:
        try:
            found: list[IpAddress] = [
                *(await (resolver.a(name) if address.version == 4 else resolver.aaaa(name)))
            ]
        except DnsFailure:
            unknown = True
            continue
        if address in found:
            return IprevVerdict("pass", name)
    return IprevVerdict("temperror" if unknown else "fail", names[0])
