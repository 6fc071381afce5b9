"""The principals of a memory directory as they are configured, and what can be wrong there."""

from collections.abc import Iterator
from typing import Literal

from attrs import field, frozen

from mailhive.config.fields import FilePath
from mailhive.config.load import load_table
from mailhive.config.problems import ConfigError, KeyPath
from mailhive.config.units import Size
from mailhive.directory.rules import canonical_email, name_problem, no_address
from mailhive.directory.schemes import is_plain_text, secret_problem
from mailhive.model.addresses import canonical_name

__all__ = ["MemorySettings", "PrincipalSettings", "PrincipalsFile"]


@frozen
class PrincipalSettings:
    """`[[directory.NAME.principals]]`: a person, a group or a mailing list."""

    name: str = field(metadata={"doc": "The login, and the name of the account."})
    type: Literal["individual", "group", "list"] = field(
        default="individual",
        metadata={
            "doc": "What it is. Only individuals log in. A group has an account of its own, which "
            "its members share and mail to it goes to; mail to a list goes to each member."
        },
    )
    secret: str | None = field(
        default=None,
        repr=False,
        metadata={
            "doc": "The password's hash by argon2, scrypt, bcrypt, PBKDF2, crypt (`$6$…`) or an "
            "LDAP scheme (`{SSHA512}…`); or the password itself, which is warned about. "
            "Without it nobody can log in.",
            "secret": True,
        },
    )
    email: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "Addresses: the first is the primary one, the others are aliases; "
            "`@example.org` takes whatever else is sent to that domain."
        },
    )
    email_list: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "Addresses of lists whose mail this principal gets; several principals may "
            "name the same one."
        },
    )
    member_of: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "Names of the groups and lists that it belongs to. Who belongs to a group "
            "belongs to the groups that this one belongs to."
        },
    )
    members_may: Literal["read", "write"] = field(
        default="write",
        metadata={"doc": "What the members of a group may do in its account."},
    )
    quota: Size | None = field(
        default=None, metadata={"doc": "The most that its mail may take; no limit if left out."}
    )
    description: str = field(default="", metadata={"doc": "Free text, such as a full name."})
    mailboxes: Literal["default", "inbox"] = field(
        default="default",
        metadata={"doc": "What a new account has: the usual mailboxes, or the Inbox only."},
    )


@frozen
class PrincipalsFile:
    """A file of principals, in tables `[[principals]]`."""

    principals: tuple[PrincipalSettings, ...] = field(
        default=(), metadata={"doc": "Who exists; a table each."}
    )

    def problems(self) -> list[tuple[KeyPath, str]]:
        """What is wrong: the path of a key in this table, and the mistake with what is allowed."""
        return [*_names(self.principals), *_addresses(self.principals), *_others(self.principals)]


@frozen
class MemorySettings:
    """`type = "memory"`: the principals stand in the configuration, or in a file beside it."""

    principals: tuple[PrincipalSettings, ...] = field(
        default=(), metadata={"doc": "Who exists; a table each."}
    )
    principals_file: FilePath | None = field(
        default=None,
        metadata={
            "doc": "A TOML file of principals, in tables `[[principals]]`, in place of those "
            "here. It is read again on SIGHUP, and within 5 seconds of a change of it."
        },
    )

    def read(self) -> tuple[PrincipalSettings, ...]:
        """The principals, wherever they are; `ConfigError` for a file that cannot be used."""
        if self.principals_file is None:
            return self.principals
        return load_table(self.principals_file, PrincipalsFile).principals

    def problems(self) -> Iterator[tuple[KeyPath, str]]:
        """What is wrong: the path of a key in this table, and the mistake with what is allowed."""
        yield from PrincipalsFile(self.principals).problems()
        if self.principals_file is None:
            return
        if self.principals:
            yield ("principals-file",), "is given beside principals; allowed is one of the two"
        try:
            self.read()
        except ConfigError as error:
            for problem in error.problems:
                yield ("principals-file",), str(problem)

    def warnings(self) -> list[tuple[KeyPath, str]]:
        """What works, but should not stay: in the form of `problems`, one for each kind."""
        plain = [
            (index, principal.name)
            for index, principal in enumerate(self.read())
            if principal.secret is not None and is_plain_text(principal.secret)
        ]
        if not plain:
            return []
        names = ", ".join(name for _, name in plain[:5]) + (", …" if len(plain) > 5 else "")
        message = f"passwords are in plain text ({names}); better are hashes, such as argon2's"
        if self.principals_file is not None:
            return [(("principals-file",), message)]
        return [(("principals", plain[0][0], "secret"), message)]


def _names(principals: tuple[PrincipalSettings, ...]) -> Iterator[tuple[KeyPath, str]]:
    seen: set[str] = set()
    for index, principal in enumerate(principals):
        path: KeyPath = ("principals", index, "name")
        name = canonical_name(principal.name)
        problem = name_problem(principal.name)
        if problem is not None:
            yield path, problem
        elif name in seen:
            yield path, f'"{principal.name}" is there twice; allowed is once'
        seen.add(name)


def _addresses(principals: tuple[PrincipalSettings, ...]) -> Iterator[tuple[KeyPath, str]]:
    owners: dict[str, str] = {}
    names = {canonical_name(principal.name): principal.name for principal in principals}
    for index, principal in enumerate(principals):
        for place, address in enumerate(principal.email):
            path: KeyPath = ("principals", index, "email", place)
            canonical = canonical_email(address)
            if canonical is None:
                yield path, no_address(address)
            elif canonical in owners:
                owner = owners[canonical]
                yield path, f'"{address}" is an address of "{owner}" already; allowed is one owner'
            elif names.get(canonical, principal.name) != principal.name:
                yield path, f'"{address}" is the name of another principal; allowed is any other'
            else:
                owners[canonical] = principal.name
        for place, address in enumerate(principal.email_list):
            if canonical_email(address, catch_all=False) is None:
                path = ("principals", index, "email-list", place)
                yield path, no_address(address, '"list@example.org"')


def _others(principals: tuple[PrincipalSettings, ...]) -> Iterator[tuple[KeyPath, str]]:
    types = {canonical_name(principal.name): principal.type for principal in principals}
    groups = ", ".join(f'"{p.name}"' for p in principals if p.type != "individual")
    allowed = f"allowed are {groups}" if groups else "there is no group or list"
    for index, principal in enumerate(principals):
        for place, group in enumerate(principal.member_of):
            path: KeyPath = ("principals", index, "member-of", place)
            found = types.get(canonical_name(group))
            if found is None:
                yield path, f'"{group}" is no principal; {allowed}'
            elif found == "individual":
                yield path, f'"{group}" is an individual; {allowed}'
        if principal.members_may != "write" and principal.type != "group":
            what = f'"{principal.name}" is no group, so that nobody shares its account'
            yield ("principals", index, "members-may"), f"{what}; allowed is to leave it out"
        if principal.secret is not None:
            problem = secret_problem(principal.secret)
            if problem is not None:
                yield ("principals", index, "secret"), problem
