"""`Foo/copy` (RFC 8620 §5.4).

Three phases: read the originals in one account, create the copies in the other
in one write function of the store, and have `Foo/set` destroy the originals.
The second is the work of the type's `Setter`, as in `/set`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

from mailhive.jmap.arguments import REQUIRED, Argument, check_arguments
from mailhive.jmap.checks import (
    is_any,
    is_boolean,
    is_id,
    is_reference,
    is_string,
    map_of,
    nullable,
)
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError, SetError, invalid_arguments, invalid_properties
from mailhive.jmap.registry import Followed, Method, Property
from mailhive.jmap.standard.creation_ids import resolve_object
from mailhive.jmap.standard.set import SetCall, Setter
from mailhive.jmap.standard.validate import validate_create

__all__ = ["COPY_ARGUMENTS", "Original", "copy_method"]

COPY_ARGUMENTS = {
    "fromAccountId": Argument(is_id, REQUIRED),
    "ifFromInState": Argument(nullable(is_string)),
    "ifInState": Argument(nullable(is_string)),
    "create": Argument(map_of(is_id, is_any), REQUIRED),
    "onSuccessDestroyOriginal": Argument(is_boolean, False),
    "destroyFromIfInState": Argument(nullable(is_string)),
}


@frozen
class Original:
    """A record to be copied.

    `data` are the properties that a copy has too unless it is given others;
    `source` is whatever else the type's `prepare` needs.
    """

    data: Mapping[str, Any]
    source: Any = None


#: Reads what is to be copied: `originals(reader, ids)`; unknown ids are left out.
Originals = Callable[[Any, list[str]], Mapping[str, Original]]

#: Does what needs waiting, such as reading blobs: `prepare(context, original, data)`
#: gives what the Setter finds as `prepared` of the creation; SetError refuses it.
Prepare = Callable[[Context, Original, Mapping[str, Any]], Awaitable[Any]]


async def _prepare_nothing(context: Context, original: Original, data: Mapping[str, Any]) -> None:
    return None


def copy_method(
    name: str,
    properties: Mapping[str, Property],
    make_setter: Callable[[SetCall], Setter],
    originals: Originals,
    *,
    prepare: Prepare = _prepare_nothing,
) -> Method:
    """The copy method of a type; `properties` are those that a copy can be given."""
    references = {"id": Property(is_reference, refers_to=name), **properties}

    async def copy(context: Context, arguments: dict[str, Any]) -> dict[str, Any] | Followed:
        source = context.account(arguments, "fromAccountId")
        target = context.account(arguments)
        values = check_arguments(arguments, COPY_ARGUMENTS)
        if source.id == target.id:
            raise invalid_arguments("fromAccountId and accountId are the same")
        if len(values["create"]) > context.limits.set:
            raise MethodError("requestTooLarge", f"At most {context.limits.set} can be copied")
        if target.is_read_only:
            raise MethodError("accountReadOnly")
        wanted: dict[str, dict[str, Any]] = {}
        not_created: dict[str, Any] = {}
        for creation_id, given in values["create"].items():
            try:
                wanted[creation_id] = _resolved(given, references, context.created_ids)
            except SetError as error:
                not_created[creation_id] = error.json()

        def read(reader: Any) -> Mapping[str, Original]:
            _check_state(reader.state(name), values["ifFromInState"])
            return originals(reader, [given["id"] for given in wanted.values()])

        found = await context.store.read(source.id, read)
        copies: dict[str, dict[str, Any]] = {}
        prepared: dict[str, Any] = {}
        for creation_id, given in wanted.items():
            try:
                original = found.get(given["id"])
                if original is None:
                    raise SetError("notFound", "There is no such original")
                changed = {n: value for n, value in given.items() if n != "id"}
                data, _ = validate_create({**original.data, **changed}, properties)
                prepared[creation_id] = await prepare(context, original, data)
                copies[creation_id] = data
            except SetError as error:
                not_created[creation_id] = error.json()

        def work(writer: Any) -> tuple[int, int, dict[str, Any]]:
            old_state = writer.state(name)
            _check_state(old_state, values["ifInState"])
            only_create = {"create": copies, "update": None, "destroy": None}
            setter = make_setter(SetCall(context, target, only_create, prepared, writer))
            created: dict[str, Any] = {}
            for creation_id, data in copies.items():
                try:
                    new_id, server_set = setter.create(creation_id, data)
                except SetError as error:
                    not_created[creation_id] = error.json()
                else:
                    created[creation_id] = {"id": new_id, **server_set}
            setter.finish()
            return old_state, writer.state(name), created

        old_state, new_state, created = await context.store.write(target.id, work)
        context.created_ids.update({c: made["id"] for c, made in created.items()})
        response = {
            "fromAccountId": source.id,
            "accountId": target.id,
            "oldState": str(old_state),
            "newState": str(new_state),
            "created": created or None,
            "notCreated": not_created or None,
        }
        if not created or not values["onSuccessDestroyOriginal"]:
            return response
        destroy = {
            "accountId": source.id,
            "ifInState": values["destroyFromIfInState"],
            "destroy": list(dict.fromkeys(wanted[creation_id]["id"] for creation_id in created)),
        }
        return Followed(response, ((f"{name}/set", destroy),))

    return copy


def _resolved(
    given: Any, references: Mapping[str, Property], ids: Mapping[str, str]
) -> dict[str, Any]:
    """The object with its references resolved; SetError unless it names an original."""
    if not isinstance(given, dict):
        raise invalid_properties([], "Not an object")
    if not is_reference(given.get("id")):
        raise invalid_properties(["id"], "The id of the original is missing")
    return resolve_object(given, references, ids)


def _check_state(state: int, expected: str | None) -> None:
    if expected not in (None, str(state)):
        raise MethodError("stateMismatch", f"The state is {state}")
