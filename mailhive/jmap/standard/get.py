"""`Foo/get` (RFC 8620 §5.1)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mailhive.jmap.arguments import Argument, check_arguments
from mailhive.jmap.checks import are_ids, is_string, list_of, nullable
from mailhive.jmap.context import Account, Context
from mailhive.jmap.envelope import as_text
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.jmap.registry import Method

__all__ = ["GET_ARGUMENTS", "checked_ids", "checked_properties", "get_method", "get_response"]

GET_ARGUMENTS = {
    "ids": Argument(nullable(are_ids)),
    "properties": Argument(nullable(list_of(is_string))),
}

#: Reads objects: `fetch(reader, account, ids or None, properties)` gives a dict of
#: id to object with exactly those properties; unknown ids are left out.
Fetch = Callable[[Any, Account, list[str] | None, tuple[str, ...]], Mapping[str, dict[str, Any]]]


#: Lists objects when a client asks for all: `all_ids(reader, limit)` gives up to `limit` ids.
AllIds = Callable[[Any, int], list[str]]


def get_method(
    name: str, properties: Collection[str], fetch: Fetch, all_ids: AllIds | None = None
) -> Method:
    """The get method of a type whose objects one read function can answer.

    Without `all_ids`, `fetch` is asked for all objects by passing None; that is
    for types of which an account has few.  With it, objects are the same for all who
    can reach the account, and their texts are kept.
    """

    async def get(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
        account = context.account(arguments)
        values = check_arguments(arguments, GET_ARGUMENTS)
        limit = context.limits.get
        ids = checked_ids(values["ids"], limit)
        wanted = checked_properties(values["properties"], properties)

        def work(reader: Any) -> tuple[int, Mapping[str, Any]]:
            state = reader.state(name)
            if all_ids is None:
                return state, fetch(reader, account, ids, wanted)
            asked = all_ids(reader, limit + 1) if ids is None else ids
            if len(asked) > limit:
                raise MethodError("requestTooLarge", f"There are more than {limit}")
            known = context.kept.find(reader, name, wanted, state, asked)
            if len(known) == len(asked):
                return state, known
            unknown = [i for i in asked if i not in known]
            fetched = fetch(reader, account, unknown, wanted)
            made = {i: as_text(found) for i, found in fetched.items()}
            context.kept.add(account.id, name, wanted, state, made)
            return state, {i: found for i in asked if (found := known.get(i) or made.get(i))}

        state, found = await context.store.read(account.id, work)
        if len(found) > limit:
            raise MethodError("requestTooLarge", f"There are more than {limit}")
        return get_response(account.id, state, ids, found)

    return get


def checked_ids(ids: list[str] | None, limit: int) -> list[str] | None:
    """The ids asked for, each once; requestTooLarge beyond the limit."""
    if ids is None:
        return None
    if len(ids) > limit:
        raise MethodError("requestTooLarge", f"At most {limit} ids can be asked for")
    return list(dict.fromkeys(ids))  # a repeated id is answered once


def checked_properties(wanted: Iterable[str] | None, known: Collection[str]) -> tuple[str, ...]:
    """The properties to return, `id` always among them; invalidArguments for an unknown one."""
    if wanted is None:
        return tuple(known)
    wanted = dict.fromkeys(("id", *wanted))
    for name in wanted:
        if name not in known:
            raise invalid_arguments(f"There is no property {name!r}")
    return tuple(wanted)


def get_response(
    account_id: str, state: int, ids: list[str] | None, found: Mapping[str, Any]
) -> dict[str, Any]:
    """The response, with objects in the order they were asked for."""
    if ids is None:
        return {
            "accountId": account_id,
            "state": str(state),
            "list": list(found.values()),
            "notFound": [],
        }
    return {
        "accountId": account_id,
        "state": str(state),
        "list": [found[i] for i in ids if i in found],
        "notFound": [i for i in ids if i not in found],
    }
