"""Email/get (RFC 8621 §4.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailhive.jmap.arguments import Argument, check_arguments
from mailhive.jmap.checks import is_boolean, is_string, is_unsigned, list_of
from mailhive.jmap.context import Context
from mailhive.jmap.errors import MethodError, invalid_arguments
from mailhive.jmap.standard.get import GET_ARGUMENTS, checked_ids, get_response
from mailhive.jmap.types.email.properties import (
    DEFAULT_PROPERTIES,
    SUMMARY,
    is_email_property,
)
from mailhive.jmap.types.email.view import (
    BodyOptions,
    email_object,
    needs_structure,
    value_parts,
    view_of,
)
from mailhive.mime.excerpts import Excerpts
from mailhive.mime.part import Part
from mailhive.mime.view import DEFAULT_BODY_PROPERTIES, EmailView, is_body_property
from mailhive.model.email import EmailRow

__all__ = ["BODY_ARGUMENTS", "body_options", "checked_email_properties", "get"]

BODY_ARGUMENTS = {
    "bodyProperties": Argument(list_of(is_string), DEFAULT_BODY_PROPERTIES),
    "fetchTextBodyValues": Argument(is_boolean, False),
    "fetchHTMLBodyValues": Argument(is_boolean, False),
    "fetchAllBodyValues": Argument(is_boolean, False),
    "maxBodyValueBytes": Argument(is_unsigned, 0),
}

#: Emails with bodies, and octets of body text, that are put together on the
#: reactor thread; more is work for another.
_FEW = 8
_SMALL = 65_536
#: Octets of body text, as transmitted, that one call gets; more is requestTooLarge.
_MOST = 64_000_000


async def get(context: Context, arguments: dict[str, Any]) -> dict[str, Any]:
    account = context.account(arguments)
    values = check_arguments(arguments, GET_ARGUMENTS | BODY_ARGUMENTS)
    properties = checked_email_properties(values["properties"], DEFAULT_PROPERTIES)
    options = body_options(values)
    with_values = "bodyValues" in properties and options.fetches_values
    limit = context.limits.email_get_full if with_values else context.limits.get
    ids = checked_ids(values["ids"], limit)
    full = needs_structure(properties)
    summary = any(name in SUMMARY for name in properties)

    def work(reader: Any) -> tuple[int, dict[str, EmailRow]]:
        asked = reader.email_ids(limit + 1) if ids is None else ids
        if len(asked) > limit:
            raise MethodError("requestTooLarge", f"There are more than {limit}")
        return reader.state("Email"), reader.emails(asked, summary=summary, full=full)

    def build(rows: Mapping[str, EmailRow]) -> tuple[dict[str, Any], dict[str, EmailView]]:
        views = {i: view_of(row) for i, row in rows.items()} if full else {}
        emails = {
            i: email_object(row, views.get(i), properties, options) for i, row in rows.items()
        }
        return emails, views

    state, rows = await context.store.read(account.id, work)
    if full and len(rows) > _FEW:
        emails, views = await context.offload(build, rows)
    else:
        emails, views = build(rows)
    if with_values:
        await _add_values(context, emails, views, options)
    return get_response(account.id, state, ids, emails)


def checked_email_properties(
    wanted: Sequence[str] | None, default: tuple[str, ...], always: tuple[str, ...] = ("id",)
) -> tuple[str, ...]:
    """The properties to return, `always` first; invalidArguments for one that cannot be had."""
    if wanted is None:
        return default
    return _checked((*always, *wanted), is_email_property)


def body_options(values: Mapping[str, Any]) -> BodyOptions:
    """The body arguments; invalidArguments for a body property that cannot be had."""
    return BodyOptions(
        _checked(values["bodyProperties"], is_body_property),
        values["fetchTextBodyValues"],
        values["fetchHTMLBodyValues"],
        values["fetchAllBodyValues"],
        values["maxBodyValueBytes"],
    )


def _checked(names: Sequence[str], exists: Any) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        try:
            known = exists(name)
        except ValueError as error:
            raise invalid_arguments(str(error)) from None
        if not known:
            raise invalid_arguments(f"There is no property {name!r}")
    return unique


async def _add_values(
    context: Context,
    emails: Mapping[str, dict[str, Any]],
    views: Mapping[str, EmailView],
    options: BodyOptions,
) -> None:
    """Fill in `bodyValues`, reading no more of each message than the parts asked for."""
    wanted: dict[str, tuple[list[Part], Excerpts]] = {}
    total = 0
    for email_id, view in views.items():
        parts = value_parts(view, options)
        total += sum(part.body_end - part.body_start for part in parts)
        if total > _MOST:
            raise MethodError("requestTooLarge", f"Bodies of more than {_MOST} octets")
        ranges = {
            p.body_start: await context.blobs.blob_store.read(
                view.blob_id, p.body_start, p.body_end - p.body_start
            )
            for p in parts
        }
        wanted[email_id] = parts, Excerpts(ranges)

    def decode() -> dict[str, Any]:
        return {
            i: views[i].body_values(excerpts, parts, options.max_octets)
            for i, (parts, excerpts) in wanted.items()
        }

    if total > _SMALL:
        found = await context.offload(decode)
    else:
        found = decode()
    for email_id, values in found.items():
        emails[email_id]["bodyValues"] = values
