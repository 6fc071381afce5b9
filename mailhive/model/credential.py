"""Credentials beside a password, for one program each."""

from attrs import frozen

__all__ = ["APP_PASSWORD", "SERVICES", "TOKEN", "AppCredential"]

#: What a credential can be good for.
SERVICES = ("jmap", "smtp", "imap")

#: The kinds.
APP_PASSWORD = "app-password"  # noqa: S105
TOKEN = "token"  # noqa: S105


@frozen
class AppCredential:
    """An app password or token, without what is secret of it.

    `principal` is the name of whose it is, `label` tells it from their others.  Times
    are in seconds; `expires` is None for one that does not, `last_used` for one that
    never was.
    """

    kind: str
    principal: str
    label: str
    services: tuple[str, ...]
    created: int
    expires: int | None = None
    last_used: int | None = None
