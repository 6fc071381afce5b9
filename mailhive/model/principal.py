"""Who can log in and who can be written to."""

from attrs import field, frozen

__all__ = ["Principal"]


@frozen(cache_hash=True)
class Principal:
    """A person, group or list of a directory.

    `name` is the login and the key of the account.  `emails[0]` is the primary
    address; an address of the form `@example.org` makes the principal the
    catch-all of that domain.  `quota` is in bytes, None for no limit.  `member_of`
    are names of groups and lists; `members_may` says what members of a group may
    do in its account, `read` or `write`; `mailboxes` what a new account has, the
    `default` ones or the `inbox` only.  Who is not `enabled` cannot log in, by
    whatever means; mail to them is delivered.

    `credential` names what somebody was authenticated by, if that can be told apart
    from their other credentials, and `credentials` all that their directory lets
    them in by now, None if it does not say.  So what was made with a password can go
    when the password does.  The names are opaque, and no secrets.
    """

    name: str
    type: str = "individual"  # individual, group or list
    description: str = ""
    emails: tuple[str, ...] = ()
    member_of: tuple[str, ...] = ()
    quota: int | None = field(default=None)
    members_may: str = "write"
    mailboxes: str = "default"
    enabled: bool = True
    credential: str = field(default="", eq=False, repr=False)
    credentials: frozenset[str] | None = field(default=None, eq=False, repr=False)

    @property
    def primary_email(self) -> str | None:
        return next((e for e in self.emails if not e.startswith("@")), None)
