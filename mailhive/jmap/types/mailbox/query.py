"""Mailbox/query and Mailbox/queryChanges (RFC 8621 §2.3, §2.4)."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from mailhive.jmap.arguments import Argument
from mailhive.jmap.checks import is_boolean, is_id, is_string, nullable
from mailhive.jmap.context import Account, Context
from mailhive.jmap.standard.filters import matches
from mailhive.jmap.standard.query import Query, parse_query, query_response, window_of
from mailhive.jmap.standard.query_changes import (
    parse_query_changes,
    query_changes_response,
    record_query_changes,
)
from mailhive.jmap.standard.sorts import sorted_by
from mailhive.jmap.types.mailbox.properties import seen_by
from mailhive.jmap.types.mailbox.tree import MailboxTree
from mailhive.model.collation import unicode_casemap
from mailhive.model.email import Record, filter_names

__all__ = ["query", "query_changes", "results"]

#: Conditions tested on the reactor thread; more is work for another.
_MANY = 2_000


def _same(value: Any) -> Any:
    return value


FILTERS = {
    "parentId": (nullable(is_id), _same),
    "name": (is_string, unicode_casemap),
    "role": (nullable(is_string), _same),
    "hasAnyRole": (is_boolean, _same),
    "isSubscribed": (is_boolean, _same),
}
SORTS = ("sortOrder", "name")
EXTRA = {
    "sortAsTree": Argument(is_boolean, False),
    "filterAsTree": Argument(is_boolean, False),
}


async def query(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    asked = parse_query(arguments, FILTERS, SORTS, extra=EXTRA)
    state, records = await context.store.read(
        account.id, lambda reader: (reader.state("Mailbox"), reader.records("Mailbox"))
    )
    ids = await _compute(context, account, records, asked)
    position, window = window_of(asked, ids)
    return query_response(
        account.id, state, asked, position, window, len(ids), can_calculate_changes=True
    )


async def query_changes(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    # RFC 8621 §2.4 does not name the arguments that §2.3 adds to the query; a client that
    # uses them there gives them here as well, since they are part of what the query is.
    account = context.account(arguments)
    asked, since = parse_query_changes(arguments, FILTERS, SORTS, extra=EXTRA)
    changes, records = await context.store.read(
        account.id,
        lambda reader: (reader.changes("Mailbox", since, None), reader.records("Mailbox")),
    )
    ids = await _compute(context, account, records, asked)
    tree = MailboxTree({i: record.data for i, record in records.items()})

    def with_descendants(changed: set[str]) -> Iterable[str]:
        return (i for i in records if not changed.isdisjoint(tree.ancestors(i)))

    as_tree = asked.arguments["sortAsTree"] or asked.arguments["filterAsTree"]
    found = record_query_changes(changes, asked, ids, touched=with_descendants if as_tree else None)
    return query_changes_response(account.id, asked, found)


async def _compute(
    context: Context, account: Account, records: Mapping[str, Record], asked: Query
) -> list[str]:
    mailboxes = {i: seen_by(account.user, record.data) for i, record in records.items()}
    if len(mailboxes) * (1 + sum(1 for _ in filter_names(asked.filter))) > _MANY:
        offloaded: list[str] = await context.offload(results, mailboxes, asked)
        return offloaded
    return results(mailboxes, asked)


def results(mailboxes: Mapping[str, Mapping[str, Any]], asked: Query) -> list[str]:
    """The whole result of the query on these mailboxes."""
    tree = MailboxTree(mailboxes)
    ids = sorted_by(
        sorted(mailboxes, key=lambda i: (len(i), i)),
        asked.sort,
        lambda i, name: mailboxes[i][name],
    )
    if asked.arguments["sortAsTree"]:
        ids = _as_tree(tree, ids)
    matching = {i for i in ids if matches(asked.filter, partial(_test, mailboxes[i]))}
    if asked.arguments["filterAsTree"]:
        matching = {i for i in matching if all(a in matching for a in tree.ancestors(i))}
    return [i for i in ids if i in matching]


def _test(mailbox: Mapping[str, Any], name: str, value: Any) -> bool:
    if name == "name":
        return value in unicode_casemap(mailbox["name"])
    if name == "hasAnyRole":
        return (mailbox["role"] is not None) == value
    return bool(mailbox[name] == value)


def _as_tree(tree: MailboxTree, ids: list[str]) -> list[str]:
    """Each mailbox followed by its children, siblings in the order of `ids`."""
    children: dict[str | None, list[str]] = {}
    for mailbox_id in ids:
        children.setdefault(tree.mailboxes[mailbox_id]["parentId"], []).append(mailbox_id)
    ordered: list[str] = []
    pending = children.get(None, [])[::-1]
    while pending:
        mailbox_id = pending.pop()
        ordered.append(mailbox_id)
        pending += children.get(mailbox_id, [])[::-1]
    return ordered
