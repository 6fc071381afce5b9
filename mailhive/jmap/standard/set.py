"""`Foo/set` (RFC 8620 §5.3).

The engine checks arguments, orders the work, keeps the map of creation ids and
writes the response; a `Setter` of the type makes each single change, inside one
write function of the store, so that the call is one change set.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from mailhive.jmap.arguments import Argument, check_arguments
from mailhive.jmap.checks import (
    are_references,
    is_any,
    is_id,
    is_map_by_reference,
    is_string,
    map_of,
    nullable,
)
from mailhive.jmap.context import Account, Context
from mailhive.jmap.envelope import encode_json
from mailhive.jmap.errors import MethodError, SetError, invalid_properties
from mailhive.jmap.registry import Method, Property
from mailhive.jmap.standard.creation_ids import (
    creation_order,
    resolve_id,
    resolve_object,
    resolve_patch,
)

__all__ = [
    "SET_ARGUMENTS",
    "Outcome",
    "SetCall",
    "Setter",
    "checked_changes",
    "make_changes",
    "set_method",
]


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


SET_ARGUMENTS = {
    "ifInState": Argument(nullable(is_string)),
    "create": Argument(nullable(map_of(is_id, is_any))),
    "update": Argument(nullable(is_map_by_reference)),
    "destroy": Argument(nullable(are_references)),
}


@frozen
class SetCall:
    """One call as its Setter sees it.

    `arguments` are all arguments with defaults filled in; `prepared` is what the
    type's `prepare` made of each creation before the write began: an object, or
    the SetError that refuses it.  `writer` is the account's `IMailWriter`.
    """

    context: Context
    account: Account
    arguments: Mapping[str, Any]
    prepared: Mapping[str, Any]
    writer: Any


class Setter(ABC):
    """Makes single changes, each by a method that raises SetError before it changes anything."""

    @abstractmethod
    def create(self, creation_id: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make an object; returns its id and the properties the client did not send."""

    @abstractmethod
    def update(self, object_id: str, patch: dict[str, Any]) -> dict[str, Any] | None:
        """Change an object; returns what else changed, None if nothing did."""

    @abstractmethod
    def destroy(self, object_id: str) -> None:
        """Remove an object."""

    def order_destroys(self, ids: list[str]) -> Iterable[str]:
        """The order in which to destroy, e.g. children before parents."""
        return ids

    def finish(self) -> None:  # noqa: B027 (most have nothing left to do)
        """Write down what was only noted; cannot fail for a single object."""


@define
class Outcome:
    """What became of each object, by id or creation id."""

    created: dict[str, Any] = field(factory=dict)
    updated: dict[str, Any] = field(factory=dict)
    destroyed: list[str] = field(factory=list)
    not_created: dict[str, Any] = field(factory=dict)
    not_updated: dict[str, Any] = field(factory=dict)
    not_destroyed: dict[str, Any] = field(factory=dict)

    def made(self) -> dict[str, str]:
        """Creation ids and the ids of what was created."""
        return {creation_id: made["id"] for creation_id, made in self.created.items()}

    def response(self) -> dict[str, Any]:
        """The arguments of the response that tell of objects."""
        return {
            "created": self.created or None,
            "updated": self.updated or None,
            "destroyed": self.destroyed or None,
            "notCreated": self.not_created or None,
            "notUpdated": self.not_updated or None,
            "notDestroyed": self.not_destroyed or None,
        }


Prepare = Callable[[Context, Account, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


async def _prepare_nothing(
    context: Context, account: Account, create: Mapping[str, Any]
) -> Mapping[str, Any]:
    return {}


def set_method(
    name: str,
    properties: Mapping[str, Property],
    make_setter: Callable[[SetCall], Setter],
    *,
    extra: Mapping[str, Argument] | None = None,
    prepare: Prepare = _prepare_nothing,
) -> Method:
    """The set method of a type.

    `extra` are arguments of the type's own.  `prepare(context, account, create)`
    does what needs waiting, such as storing blobs, before the write begins.
    """
    table = SET_ARGUMENTS | dict(extra or {})

    async def set_(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        account = context.account(arguments)
        values = checked_changes(context, arguments, table)
        if account.is_read_only:
            raise MethodError("accountReadOnly")
        prepared = await prepare(context, account, values["create"] or {})

        def work(writer: Any) -> tuple[int, int, Outcome]:
            old_state = writer.state(name)
            if values["ifInState"] not in (None, str(old_state)):
                raise MethodError("stateMismatch", f"The state is {old_state}")
            call = SetCall(context, account, values, prepared, writer)
            outcome = make_changes(values, context.created_ids, properties, make_setter(call))
            return old_state, writer.state(name), outcome

        old_state, new_state, outcome = await context.store.write(account.id, work)
        context.created_ids.update(outcome.made())
        states = {"oldState": str(old_state), "newState": str(new_state)}
        return {"accountId": account.id, **states, **outcome.response()}

    return set_


def checked_changes(
    context: Context, arguments: Mapping[str, Any], table: Mapping[str, Argument]
) -> dict[str, Any]:
    """The arguments with defaults filled in; requestTooLarge beyond the limit."""
    values = check_arguments(arguments, table)
    count = sum(len(values[name] or ()) for name in ("create", "update", "destroy"))
    if count > context.limits.set:
        raise MethodError("requestTooLarge", f"At most {context.limits.set} objects can be set")
    return values


def make_changes(
    arguments: Mapping[str, Any],
    created_ids: Mapping[str, str],
    properties: Mapping[str, Property],
    setter: Setter,
) -> Outcome:
    """Do all that `create`, `update` and `destroy` of a call ask for."""
    outcome = Outcome()
    ids = dict(created_ids)  # grows as this call creates
    create = arguments["create"] or {}
    well_formed = {c: data for c, data in create.items() if _is_object(data)}
    for creation_id in create.keys() - well_formed.keys():
        outcome.not_created[creation_id] = invalid_properties([], "Not an object").json()
    for creation_id in creation_order(well_formed, properties):
        try:
            data = resolve_object(well_formed[creation_id], properties, ids)
            object_id, server_set = setter.create(creation_id, data)
        except SetError as error:
            outcome.not_created[creation_id] = error.json()
        else:
            ids[creation_id] = object_id
            outcome.created[creation_id] = {"id": object_id, **server_set}
    doomed = _resolve_destroys(arguments["destroy"] or [], ids, outcome)
    update = arguments["update"] or {}
    refers = b"#" in encode_json(update)  # as a rule nothing does, and there is much of it
    for key, patch in update.items():
        object_id = key
        try:
            if refers:
                object_id = resolve_id(key, ids)
            if object_id in doomed:
                raise SetError("willDestroy")
            if not _is_object(patch):
                raise SetError("invalidPatch", "Not an object")
            if refers:
                patch = resolve_patch(patch, properties, ids)
            outcome.updated[object_id] = setter.update(object_id, patch)
        except SetError as error:
            outcome.not_updated[object_id] = error.json()
    for object_id in setter.order_destroys(list(doomed)):
        try:
            setter.destroy(object_id)
        except SetError as error:
            outcome.not_destroyed[object_id] = error.json()
        else:
            outcome.destroyed.append(object_id)
    setter.finish()
    return outcome


def _resolve_destroys(
    destroy: list[str], ids: Mapping[str, str], outcome: Outcome
) -> dict[str, None]:
    doomed: dict[str, None] = {}
    for key in destroy:
        try:
            doomed[resolve_id(key, ids)] = None
        except SetError as error:
            outcome.not_destroyed[key] = error.json()
    return doomed
