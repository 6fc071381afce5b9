"""`mailhive dns`: the records to publish for the domains of this server."""

from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from mailhive.admin.common import config_option, load_settings
from mailhive.admin.dkim import key_record
from mailhive.config.endpoints import SocketAddress
from mailhive.config.settings import Settings
from mailhive.config.tables import ListenerSettings
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = ["dns", "records"]

_TTL = 3600  # seconds
_SMTP_PORT = 25  # which an MX record cannot change


@click.command()
@config_option
@click.argument("domains", metavar="[DOMAIN]...", nargs=-1)
def dns(config: Path, domains: tuple[str, ...]) -> None:
    """Print the DNS records to publish for each DOMAIN, as lines of a zone file.

    Without a DOMAIN, it is that of `server.hostname`. What cannot be told from the
    configuration is in comments.
    """
    settings = load_settings(config)
    for name in domains or (_parent(settings.server.hostname),):
        domain = canonical_domain(name.rstrip("."))
        if domain is None or not is_domain(domain):
            raise click.ClickException(f'"{name}" is no domain')
        for line in records(settings, domain):
            click.echo(line)


def records(settings: Settings, domain: str) -> Iterator[str]:
    """The records of one mail domain, and comments."""
    yield f"; {domain}"
    yield from _mx(settings, domain)
    yield from _srv(settings, domain)
    yield from _submission(settings, domain)
    yield from _keys(settings, domain)
    yield from _senders(settings, domain)


def _mx(settings: Settings, domain: str) -> Iterator[str]:
    """RFC 5321 §5."""
    host = settings.server.hostname
    listeners = [each for each in settings.server.listener.values() if each.protocol == "smtp"]
    if not listeners:
        yield "; no MX record: no listener takes in mail"
        return
    yield _record(domain, f"MX 10 {host}.")
    binds = [bind for each in listeners for bind in each.bind]
    ports = [bind.port if isinstance(bind, SocketAddress) else _SMTP_PORT for bind in binds]
    if _SMTP_PORT not in ports:
        heard = ", ".join(map(str, sorted(set(ports))))
        yield f"; mail comes to port {_SMTP_PORT}, and mailhive listens on {heard}"
    yield from _addresses(host, listeners)
    yield from _tlsa(host, listeners)


def _tlsa(host: str, listeners: list[ListenerSettings]) -> Iterator[str]:
    """RFC 7672 §3.1.1: DANE-EE(3), SPKI(1), SHA2-256(1)."""
    files = [path for each in listeners if each.tls == "starttls" for path in each.certificate]
    keys = [load_pem_x509_certificate(path.read_bytes()).public_key() for path in files]
    digests = dict.fromkeys(
        sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
        for key in keys
    )
    if digests:
        yield "; in a zone with DNSSEC, as long as these keys are in use:"
    for digest in digests:
        yield "; " + _record(f"_{_SMTP_PORT}._tcp.{host}", f"TLSA 3 1 1 {digest}")


def _srv(settings: Settings, domain: str) -> Iterator[str]:
    # RFC 8620 §2.2
    listeners = [each for each in settings.server.listener.values() if each.protocol == "jmap"]
    found = False
    for listener in listeners:
        url = urlsplit(settings.jmap.url_prefix or listener.base_url or "")
        if url.scheme == "https" and url.hostname:
            found = True
            yield _record(f"_jmap._tcp.{domain}", f"SRV 0 1 {url.port or 443} {url.hostname}.")
            if url.hostname != settings.server.hostname:
                yield from _addresses(url.hostname, listeners)
            break
    if not found:
        yield "; no SRV record for JMAP: no listener has an https:// url, and clients ask for that"


def _submission(settings: Settings, domain: str) -> Iterator[str]:
    """RFC 6186 §3.1 and RFC 8314 §5.1."""
    services = {"implicit": "_submissions", "starttls": "_submission"}
    for listener in settings.server.listener.values():
        if listener.protocol == "submission" and listener.tls in services:
            ports = {bind.port for bind in listener.bind if isinstance(bind, SocketAddress)}
            for port in sorted(ports or {465 if listener.tls == "implicit" else 587}):
                target = f"SRV 0 1 {port} {settings.server.hostname}."
                yield _record(f"{services[listener.tls]}._tcp.{domain}", target)


def _keys(settings: Settings, domain: str) -> Iterator[str]:
    """RFC 6376 §3.6.2."""
    found = False
    for table in settings.dkim.values():
        if domain in map(canonical_domain, table.domains):
            found = True
            yield key_record(table, domain)
    if settings.relay.enabled and not found:
        yield f"; mail from {domain} is not signed: `mailhive dkim make {domain}` makes a key"


def _senders(settings: Settings, domain: str) -> Iterator[str]:
    """RFC 7208 and RFC 7489."""
    if settings.relay.enabled:
        yield "; if no other server sends for the domain; mail by way of routes comes from those:"
        yield "; " + _record(domain, f'TXT "v=spf1 a:{settings.server.hostname} -all"')
        yield "; once all mail from the domain is signed, or comes from the servers named above:"
        yield "; " + _record(f"_dmarc.{domain}", 'TXT "v=DMARC1; p=quarantine"')
    else:
        yield "; this server sends no mail to others; if nobody else sends for the domain:"
        yield "; " + _record(domain, 'TXT "v=spf1 -all"')
        yield "; " + _record(f"_dmarc.{domain}", 'TXT "v=DMARC1; p=reject"')


def _addresses(host: str, listeners: list[ListenerSettings]) -> Iterator[str]:
    hosts = {
        bind.host for each in listeners for bind in each.bind if isinstance(bind, SocketAddress)
    }
    public = sorted(address for address in hosts if ip_address(address).is_global)
    for address in public:
        yield _record(host, f"{'AAAA' if ':' in address else 'A'} {address}")
    if not public:
        yield f"; {host} needs A and AAAA records with the public addresses of this server"


def _record(name: str, data: str) -> str:
    return f"{name}. {_TTL} IN {data}"


def _parent(host: str) -> str:
    """The domain of a host; of a name of its own, that name."""
    _, _, parent = host.partition(".")
    return parent if "." in parent else host
