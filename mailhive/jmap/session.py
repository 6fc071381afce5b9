"""The Session object (RFC 8620 §2)."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from attrs import frozen

from mailhive.jmap.capabilities import TICKET, VAPID, WEBSOCKET
from mailhive.jmap.context import Account
from mailhive.jmap.envelope import encode_json
from mailhive.jmap.limits import Limits
from mailhive.jmap.registry import Registry
from mailhive.model.principal import Principal

__all__ = ["Reach", "SessionUrls", "session_object", "session_state"]

_CORE = "urn:ietf:params:jmap:core"


@frozen
class SessionUrls:
    """The absolute URLs of the listener a client talks to; three are URI templates."""

    api: str
    download: str  # {accountId} {blobId} {name} {type}
    upload: str  # {accountId}
    event_source: str  # {types} {closeafter} {ping}
    websocket: str | None = None  # None: not offered
    ticket: str | None = None
    ticket_life: int = 0  # seconds


@frozen(eq=False)
class Reach:
    """What a principal can reach: its accounts, its own first (RFC 8620 §1.6.2), and the state.

    Who has the same, and sees it the same way, has the same object for a while.
    """

    accounts: Mapping[str, Account]
    session_state: str


def session_object(
    principal: Principal,
    accounts: Mapping[str, Account],
    registry: Registry,
    limits: Limits,
    urls: SessionUrls,
    revision: str,
    server_key: str,
) -> dict[str, Any]:
    """The Session object of a principal, complete with its state.

    `server_key` is the key that pushes are signed by (RFC 9749 §3).
    """
    contents = _contents(principal, accounts, registry, limits, server_key)
    if urls.websocket is not None and WEBSOCKET in registry.without_methods:
        contents["capabilities"][WEBSOCKET] = {"url": urls.websocket, "supportsPush": True}
    if urls.ticket is not None and TICKET in registry.without_methods:
        contents["capabilities"][TICKET] = {"url": urls.ticket, "lifetime": urls.ticket_life}
    return {
        **contents,
        "apiUrl": urls.api,
        "downloadUrl": urls.download,
        "uploadUrl": urls.upload,
        "eventSourceUrl": urls.event_source,
        "state": session_state(principal, accounts, registry, limits, revision, server_key),
    }


def session_state(
    principal: Principal,
    accounts: Mapping[str, Account],
    registry: Registry,
    limits: Limits,
    revision: str,
    server_key: str,
) -> str:
    """A string that changes when anything else in the Session object does.

    `revision` stands for the configuration that the URLs come from, so that it
    is the same whichever listener answers.
    """
    contents = encode_json(
        [
            _contents(principal, accounts, registry, limits, server_key),
            sorted(registry.without_methods),
            revision,
        ]
    )
    return blake2b(contents, digest_size=8).hexdigest()


def _contents(
    principal: Principal,
    accounts: Mapping[str, Account],
    registry: Registry,
    limits: Limits,
    server_key: str,
) -> dict[str, Any]:
    capabilities = registry.capabilities.values()
    pushes_are_signed = VAPID in registry.without_methods
    primary = next((a.id for a in accounts.values() if a.is_personal), None)
    return {
        "capabilities": {
            **{c.uri: c.session(limits) for c in capabilities},
            **({VAPID: {"applicationServerKey": server_key}} if pushes_are_signed else {}),
        },
        "accounts": {
            account.id: {
                "name": account.name,
                "isPersonal": account.is_personal,
                "isReadOnly": account.is_read_only,
                "accountCapabilities": {c.uri: c.account(limits, account) for c in capabilities},
            }
            for account in accounts.values()
        },
        "primaryAccounts": {
            c.uri: primary for c in capabilities if primary is not None and c.uri != _CORE
        },
        "username": principal.name,
    }
