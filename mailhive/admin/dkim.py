"""`mailhive dkim`: keys by which mail to other servers is signed."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailhive.admin.common import config_option, load_settings, one_line, work_as_owner
from mailhive.authn.dkim_sign import SigningKey, published
from mailhive.config.dkim import DkimSettings, read_private_key
from mailhive.model.addresses import canonical_domain, is_domain

__all__ = ["dkim", "key_record"]

_TTL = 3600  # seconds
_TEXT = 255  # octets of one string of a TXT record (RFC 1035 §3.3.14)


@click.group()
def dkim() -> None:
    """Make keys that sign mail (DKIM), and print what to publish."""


@dkim.command()
@config_option
@click.argument("domain")
@click.option(
    "--algorithm",
    type=click.Choice(["rsa", "ed25519"]),
    default="rsa",
    show_default=True,
    help="Everybody verifies RSA; an Ed25519 key is good beside it.",
)
@click.option(
    "--bits", type=click.IntRange(1024, 4096), default=2048, show_default=True, help="Of RSA keys."
)
@click.option("--selector", help="The name to publish it below.  [default: ALGORITHM-YEAR-MONTH]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the key goes.  [default: DOMAIN.SELECTOR.pem in the folder dkim of the data "
    "directory]",
)
def make(
    config: Path, domain: str, algorithm: str, bits: int, selector: str | None, output: Path | None
) -> None:
    """Make a key for DOMAIN; print the table for the configuration and the DNS record.

    The key is for the eyes of its owner only. Publish the record first, then add the table
    to the configuration and reload it.
    """
    settings = load_settings(config)
    name = canonical_domain(domain.rstrip("."))
    if name is None or not is_domain(name):
        raise click.ClickException(f'"{domain}" is no domain')
    selector = selector or f"{algorithm}-{datetime.now(UTC):%Y-%m}"
    with one_line():
        if output is None:
            work_as_owner(settings.server.data_dir)
            folder = settings.server.data_dir / "dkim"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            output = folder / f"{name}.{selector}.pem"
        output = output.absolute()
        private = _generated(algorithm, bits)
        try:  # its own check of names
            table = DkimSettings((name,), selector, output)  # type: ignore[arg-type]
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        _write(output, private)
    click.echo(f'[dkim."{name}-{selector}"]')
    click.echo(f'domains = "{name}"')
    click.echo(f'selector = "{selector}"')
    click.echo(f'private-key = "{_quoted(output)}"')
    click.echo()
    click.echo(key_record(table, name))


@dkim.command()
@config_option
def show(config: Path) -> None:
    """Print the DNS records of all keys of the configuration, as lines of a zone file."""
    for table in load_settings(config).dkim.values():
        for domain in filter(None, map(canonical_domain, table.domains)):
            click.echo(key_record(table, domain))


def key_record(table: DkimSettings, domain: str) -> str:
    """The TXT record of a key for one of its domains, as a line of a zone file."""
    key = SigningKey(domain, table.selector, read_private_key(table.private_key))
    text = published(key)
    strings = " ".join(f'"{text[i : i + _TEXT]}"' for i in range(0, len(text), _TEXT))
    return f"{table.selector}._domainkey.{domain}. {_TTL} IN TXT {strings}"


def _generated(algorithm: str, bits: int) -> RSAPrivateKey | Ed25519PrivateKey:
    if algorithm == "rsa":
        return generate_private_key(65_537, bits)
    return Ed25519PrivateKey.generate()


def _write(path: Path, private: RSAPrivateKey | Ed25519PrivateKey) -> None:
    """A file that was not there before: who loses a key in use has to publish another."""
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
