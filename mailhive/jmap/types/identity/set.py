"""Identity/set (RFC 8621 §6.3)."""

from collections.abc import Mapping
from typing import Any

from mailhive.jmap.context import Account, Context
from mailhive.jmap.errors import SetError
from mailhive.jmap.standard.set import SetCall, Setter
from mailhive.jmap.standard.validate import validate_create, validate_update
from mailhive.jmap.types.identity.get import fetch, may_delete
from mailhive.jmap.types.identity.properties import PROPERTIES, STORED
from mailhive.mail.identities import may_send_as

__all__ = ["IdentitySetter", "prepare"]


async def prepare(
    context: Context, account: Account, create: Mapping[str, Any]
) -> dict[str, SetError]:
    """The creations that are refused for their address (RFC 8621 §9.6)."""
    refused: dict[str, SetError] = {}
    for creation_id, data in create.items():
        email = data.get("email") if isinstance(data, dict) else None
        if isinstance(email, str) and not await may_send_as(
            context.directory, account.owner, email
        ):
            refused[creation_id] = SetError(
                "forbiddenFrom", f"{account.name} may not send from {email}"
            )
    return refused


class IdentitySetter(Setter):
    """Changes identities one at a time."""

    def __init__(self, call: SetCall) -> None:
        self._call = call
        self._writer = call.writer

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        whole, added = validate_create(data, PROPERTIES)
        if creation_id in self._call.prepared:
            raise self._call.prepared[creation_id]
        identity_id = self._writer.create_record("Identity", {name: whole[name] for name in STORED})
        deletable = may_delete(self._writer, self._call.account, identity_id)
        return identity_id, {**added, "mayDelete": deletable}

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        current = self._view(object_id)
        patched = validate_update(current, patch, PROPERTIES)
        if patched != current:
            document = {name: patched[name] for name in STORED}
            self._writer.update_record("Identity", object_id, document)
        return None

    def destroy(self, object_id: str) -> None:
        if not self._view(object_id)["mayDelete"]:
            raise SetError("forbidden", "The identity of the primary address stays")
        self._writer.destroy_record("Identity", object_id)

    def _view(self, identity_id: str) -> dict[str, Any]:
        found = fetch(self._writer, self._call.account, [identity_id], tuple(PROPERTIES))
        if identity_id not in found:
            raise SetError("notFound")
        return found[identity_id]
