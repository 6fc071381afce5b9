"""`mailhive account`: who exists, in a directory that can be changed."""

import sys
from collections.abc import Iterable
from typing import Any

import click

from mailhive.admin.common import editing, json_option, print_json, print_table
from mailhive.config.settings import Settings
from mailhive.config.units import format_size, parse_size
from mailhive.model.addresses import canonical_address, canonical_name
from mailhive.model.principal import Principal

__all__ = ["account"]

_LONGEST_LINE = 4_096  # octets of a password, or of a hash, on the standard input


@click.group()
def account() -> None:
    """Add, change and remove accounts, also while the daemon runs.

    Each change holds from the next login, request or message on. The directory
    is the one that jmap.directory names; it has to be of type "internal".

    Exit status: 0 done, 1 refused or failed, 2 wrong usage.
    """


_subcommand = editing(account)


class _Size(click.ParamType):
    """Octets, as the configuration writes them."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return parse_size(int(value) if value.isdecimal() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_name = click.argument("name")
_hashed = click.option(
    "--hashed", is_flag=True, help="Read a hash that another program made, not a password."
)


@_subcommand
@_name
@click.option(
    "--email",
    "emails",
    multiple=True,
    metavar="ADDRESS",
    help="An address, the primary one first; @DOMAIN takes what else is sent to a domain.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["individual", "group", "list"]),
    default="individual",
    help="A group's account is shared by its members; mail to a list goes to its members.",
)
@click.option("--group", "kind", flag_value="group", help="The same as --type group.")
@click.option(
    "--member-of", multiple=True, metavar="NAME", help="A group or list that it belongs to."
)
@click.option(
    "--members-may",
    type=click.Choice(["read", "write"]),
    default="write",
    help="What the members of a group may do in its account.",
)
@click.option("--quota", type=_Size(), help="The most that its mail may take, as 2G.")
@click.option("--description", default="", metavar="TEXT", help="Free text, such as a full name.")
@click.option("--bare", is_flag=True, help="Begin with the Inbox as the only mailbox.")
@click.option("--no-password", is_flag=True, help="Nobody can log in; ask for no password.")
@_hashed
def add(
    _: Settings,
    editor: Any,
    name: str,
    emails: tuple[str, ...],
    kind: str,
    member_of: tuple[str, ...],
    members_may: str,
    quota: int | None,
    description: str,
    bare: bool,
    no_password: bool,
    hashed: bool,
) -> None:
    """Add an account.

    The password is asked for, or is the first line of the standard input if
    that is no terminal. Mail that an earlier account of this name has left is
    there again.
    """
    principal = Principal(
        name=name,
        type=kind,
        description=description,
        emails=emails,
        member_of=member_of,
        quota=quota,
        members_may=members_may,
        mailboxes="inbox" if bare else "default",
    )
    wants_secret = kind == "individual" and not no_password
    editor.add(principal, _read_secret(editor, hashed) if wants_secret else None)
    click.echo(f'Added {kind} "{name}".')


@_subcommand
@_name
@click.option("--none", "none", is_flag=True, help="Take the password away: nobody can log in.")
@_hashed
def password(_: Settings, editor: Any, name: str, none: bool, hashed: bool) -> None:
    """Change a password.

    It is asked for, or is the first line of the standard input if that is no
    terminal.
    """
    editor.scheme(name)  # there is somebody to ask for
    editor.set_secret(name, None if none else _read_secret(editor, hashed))
    click.echo(f'{"Took away" if none else "Changed"} the password of "{name}".')


@_subcommand
@_name
@click.option(
    "--delete-mail", is_flag=True, help="Delete its mail as well, which cannot be undone."
)
def remove(_: Settings, editor: Any, name: str, delete_mail: bool) -> None:
    """Remove an account: no login and no delivery from this moment on."""
    removed = editor.remove(name, delete_mail=delete_mail)
    click.echo(f'Removed {removed.type} "{removed.name}".')
    if delete_mail:
        click.echo("The daemon deletes its mail within seconds, or at its next start.")
    elif removed.type != "list":
        click.echo("Its mail is kept, for an account that is added by the same name.")


@_subcommand
@_name
@click.option(
    "--email", "emails", multiple=True, metavar="ADDRESS", help="These addresses in place of all."
)
@click.option("--no-email", is_flag=True, help="No address at all.")
@click.option("--add-email", multiple=True, metavar="ADDRESS", help="One more address.")
@click.option("--remove-email", multiple=True, metavar="ADDRESS", help="This address no longer.")
@click.option(
    "--member-of", multiple=True, metavar="NAME", help="These groups and lists in place of all."
)
@click.option("--no-member-of", is_flag=True, help="No group and no list.")
@click.option("--join", multiple=True, metavar="NAME", help="One more group or list.")
@click.option("--leave", multiple=True, metavar="NAME", help="This group or list no longer.")
@click.option("--members-may", type=click.Choice(["read", "write"]), help="Of a group.")
@click.option("--quota", type=_Size(), help="The most that its mail may take, as 2G.")
@click.option("--no-quota", is_flag=True, help="As much as there is room for.")
@click.option("--description", metavar="TEXT", help="Free text, such as a full name.")
def set_(
    _: Settings,
    editor: Any,
    name: str,
    emails: tuple[str, ...],
    no_email: bool,
    add_email: tuple[str, ...],
    remove_email: tuple[str, ...],
    member_of: tuple[str, ...],
    no_member_of: bool,
    join: tuple[str, ...],
    leave: tuple[str, ...],
    members_may: str | None,
    quota: int | None,
    no_quota: bool,
    description: str | None,
) -> None:
    """Change what is known of an account; what is not named stays."""
    for alternatives in (
        (emails, no_email, add_email or remove_email),
        (member_of, no_member_of, join or leave),
        (quota is not None, no_quota),
    ):
        if sum(map(bool, alternatives)) > 1:
            raise click.UsageError("give an option or its opposite, not both")
    values: dict[str, Any] = {}
    if emails or no_email:
        values["emails"] = emails
    if member_of or no_member_of:
        values["member_of"] = member_of
    if add_email or remove_email:
        values["emails"] = lambda principal: _altered(
            principal.emails, add_email, remove_email, canonical_address
        )
    if join or leave:
        values["member_of"] = lambda principal: _altered(
            principal.member_of, join, leave, canonical_name
        )
    if quota is not None or no_quota:
        values["quota"] = quota
    if members_may is not None:
        values["members_may"] = members_may
    if description is not None:
        values["description"] = description
    if not values:
        raise click.UsageError("nothing to change; see --help")
    changed = editor.change(name, **values)
    click.echo(f'Changed {changed.type} "{changed.name}".')


@_subcommand
@_name
def disable(_: Settings, editor: Any, name: str) -> None:
    """Let an account log in no more, by whatever means; its mail goes on to be delivered."""
    changed = editor.change(name, enabled=False)
    click.echo(f'Disabled "{changed.name}".')


@_subcommand
@_name
def enable(_: Settings, editor: Any, name: str) -> None:
    """Let an account log in again, with what it had before."""
    changed = editor.change(name, enabled=True)
    click.echo(f'Enabled "{changed.name}".')


@_subcommand
@json_option
def list_(_: Settings, editor: Any, as_json: bool) -> None:
    """List every account."""
    principals = editor.principals()
    if as_json:
        print_json([_described(editor, principal) for principal in principals])
        return
    rows = [("NAME", "TYPE", "QUOTA", "ADDRESSES")]
    for p in principals:
        quota = "-" if p.quota is None else format_size(p.quota)
        rows.append((p.name, p.type, quota, ", ".join(p.emails) or "-"))
    print_table(rows)


@_subcommand
@_name
@json_option
def show(_: Settings, editor: Any, name: str, as_json: bool) -> None:
    """Show what is known of an account, but for the password."""
    described = _described(editor, editor.principal(name))
    if described["type"] != "individual":
        described["members"] = editor.members(name)
    if as_json:
        print_json(described)
        return
    for key, value in described.items():
        if key == "quota" and value is not None:
            value = format_size(value)
        if key == "enabled":
            value = "yes" if value else "no"
        text = ", ".join(value) if isinstance(value, tuple) else value
        click.echo(f"{key}: {text or '-'}")


def _altered(
    now: Iterable[str], more: Iterable[str], fewer: Iterable[str], canonical: Any
) -> tuple[str, ...]:
    """A list with some names added at its end and others taken away."""
    gone = {canonical(name): name for name in fewer}
    kept = [name for name in now if canonical(name) not in gone]
    missing = set(gone) - {canonical(name) for name in now}
    if missing:
        raise click.ClickException(f'"{gone[missing.pop()]}" is not among them')
    return tuple(dict.fromkeys([*kept, *more]))


def _described(editor: Any, principal: Principal) -> dict[str, Any]:
    """A principal by the keys of the configuration; of the password, what it is hashed by."""
    described = {
        "name": principal.name,
        "type": principal.type,
        "description": principal.description,
        "email": principal.emails,
        "member-of": principal.member_of,
        "quota": principal.quota,
        "mailboxes": principal.mailboxes,
    }
    if principal.type == "individual":
        return described | {
            "enabled": principal.enabled,
            "password": editor.scheme(principal.name),
        }
    if principal.type == "group":
        return described | {"members-may": principal.members_may}
    return described


def _at_terminal() -> bool:
    return sys.stdin.isatty()


def _read_secret(editor: Any, hashed: bool) -> str:
    """A hash of what was typed in, or of the first line that was piped in."""
    if _at_terminal():
        what = "Hash" if hashed else "Password"
        text = click.prompt(what, hide_input=True, confirmation_prompt=not hashed)
    else:
        line = sys.stdin.buffer.readline(_LONGEST_LINE)
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
    secret: str = editor.checked_hash(text) if hashed else editor.hash_password(text)
    return secret
