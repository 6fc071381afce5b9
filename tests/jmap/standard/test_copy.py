"""The generic /copy (RFC 8620 §5.4), on a type that forbids duplicates."""

from collections.abc import Mapping
from typing import Any

import pytest_twisted

from mailhive.jmap.checks import is_reference, is_string, nullable
from mailhive.jmap.core_capability import CORE
from mailhive.jmap.errors import SetError
from mailhive.jmap.registry import DataType, Property, Registry
from mailhive.jmap.standard.copy import Original, copy_method
from mailhive.jmap.standard.set import SetCall, Setter, set_method
from mailhive.jmap.standard.validate import validate_create
from mailhive.model.principal import Principal
from mailhive.testing.local import LocalStores, LocalUser

PROPERTIES = {
    "id": Property(server_set=True),
    "text": Property(is_string),
    "color": Property(nullable(is_string), None),
    "about": Property(nullable(is_reference), None, refers_to="Note"),
}
SETTABLE = {name: p for name, p in PROPERTIES.items() if not p.server_set}


class NoteSetter(Setter):
    """Notes, of which an account has no two of the same text."""

    def __init__(self, call: SetCall) -> None:
        self.writer = call.writer

    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        whole, added = validate_create(data, PROPERTIES)
        for note in self.writer.records("Note").values():
            if note.data["text"] == whole["text"]:
                raise SetError("alreadyExists", existingId=note.id)
        return self.writer.create_record("Note", whole), added

    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        raise SetError("forbidden")

    def destroy(self, object_id: str) -> None:
        self.writer.destroy_record("Note", object_id)


def originals(reader: Any, ids: list[str]) -> Mapping[str, Original]:
    return {i: Original(record.data) for i, record in reader.records("Note", ids).items()}


NOTE = DataType(
    name="Note",
    capability=CORE,
    properties=PROPERTIES,
    methods={
        "Note/set": set_method("Note", PROPERTIES, NoteSetter),
        "Note/copy": copy_method("Note", SETTABLE, NoteSetter, originals),
    },
)


async def two_accounts(stores: LocalStores, *types: DataType) -> tuple[LocalUser, LocalUser]:
    stores.directory.put(Principal("team", "group"))
    alice = await stores.user(Principal("alice", member_of=("team",)))
    alice.api.registry = Registry.of(list(types))
    return alice, await alice.shared("team")


@pytest_twisted.ensureDeferred
async def test_copies_of_records(stores: LocalStores) -> None:
    alice, team = await two_accounts(stores, NOTE)
    made = await alice.call(
        "Note/set", create={"a": {"text": "a", "color": "red"}, "b": {"text": "b"}}
    )
    first, second = (made["created"][name]["id"] for name in "ab")
    source = {"fromAccountId": alice.account_id}
    result = await team.call(
        "Note/copy", **source, create={"x": {"id": first}, "y": {"id": second, "text": "other"}}
    )
    x, y = result["created"]["x"]["id"], result["created"]["y"]["id"]
    notes = await stores.mail_store.read(team.account_id, lambda reader: reader.records("Note"))
    assert {i: (n.data["text"], n.data["color"]) for i, n in notes.items()} == {
        x: ("a", "red"),
        y: ("other", None),
    }
    result = await team.call(
        "Note/copy",
        **source,
        create={
            "again": {"id": first},
            "reference": {"id": second, "about": "#y"},  # of another request
            "type": {"id": second, "color": 1},
            "server": {"id": second, "nope": 1},
        },
    )
    assert result["created"] is None
    assert result["notCreated"]["again"] == {"type": "alreadyExists", "existingId": x}
    errors = {c: e.get("properties") for c, e in result["notCreated"].items()}
    assert errors == {
        "again": None,
        "reference": ["about"],
        "type": ["color"],
        "server": ["nope"],
    }


@pytest_twisted.ensureDeferred
async def test_an_implicit_call_has_errors_of_its_own(stores: LocalStores) -> None:
    without_set = DataType(
        name="Note", capability=CORE, methods={"Note/copy": NOTE.methods["Note/copy"]}
    )
    alice, team = await two_accounts(stores, without_set)
    note_id = await stores.mail_store.write(
        alice.account_id,
        lambda writer: writer.create_record("Note", {"text": "a", "color": None, "about": None}),
    )
    arguments = {
        "fromAccountId": alice.account_id,
        "accountId": team.account_id,
        "create": {"c": {"id": note_id}},
        "onSuccessDestroyOriginal": True,
    }
    response = await alice.request(["Note/copy", arguments, "c"])
    copied, error = response["methodResponses"]
    assert copied[1]["created"].keys() == {"c"}
    assert error == ["error", {"type": "unknownMethod"}, "c"]
