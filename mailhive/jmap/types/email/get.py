"""Email/get (RFC 8621 §4.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

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

#: Emails with bodies, and octets of their headers and structure or of body text,
#: that are put together on the reactor thread; more is work for another.
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

    def build(rows: Mapping[str, EmailRow]) -> tuple[dict[str, Any], list[_Values]]:
        views = {i: view_of(row) for i, row in rows.items()} if full else {}
        emails = {
            i: email_object(row, views.get(i), properties, options) for i, row in rows.items()
        }
        if not with_values:
            return emails, []
        return emails, [_Values(i, view, value_parts(view, options)) for i, view in views.items()]

    state, rows = await context.store.read(account.id, work)
    if full and (len(rows) > _FEW or _octets(rows) > _SMALL):
        emails, wanted = await context.offload(build, rows)
    else:
        emails, wanted = build(rows)
    if wanted:
        await _add_values(context, emails, wanted, options.max_octets)
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


@frozen
class _Values:
    """The body values that are wanted of one Email."""

    email_id: str
    view: EmailView
    parts: list[Part]

    @property
    def octets(self) -> int:
        return sum(part.body_end - part.body_start for part in self.parts)


def _octets(rows: Mapping[str, EmailRow]) -> int:
    return sum(len(row.headers or b"") + len(row.structure or b"") for row in rows.values())


async def _add_values(
    context: Context,
    emails: Mapping[str, dict[str, Any]],
    wanted: Sequence[_Values],
    max_octets: int,
) -> None:
    """Fill in `bodyValues`, reading no more of each message than the parts asked for."""
    total = sum(values.octets for values in wanted)
    if total > _MOST:
        raise MethodError("requestTooLarge", f"Bodies of more than {_MOST} octets")
    read = context.blobs.blob_store.read
    excerpts = [
        Excerpts(
            {
                part.body_start: await read(
                    values.view.blob_id, part.body_start, part.body_end - part.body_start
                )
                for part in values.parts
            }
        )
        for values in wanted
    ]

    def decode() -> list[dict[str, Any]]:
        return [
            values.view.body_values(excerpt, values.parts, max_octets)
            for values, excerpt in zip(wanted, excerpts, strict=True)
        ]

    found = await context.offload(decode) if total > _SMALL else decode()
    for values, decoded in zip(wanted, found, strict=True):
        emails[values.email_id]["bodyValues"] = decoded
