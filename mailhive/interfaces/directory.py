"""Directory: who exists, who they are, and which address reaches whom."""

from zope.interface import Interface

__all__ = ["IDirectory", "IDirectoryEditor", "IRemovals"]


class IDirectory(Interface):
    """Principals and their addresses.

    Every method returns a Deferred.  A directory that cannot answer now fails
    with `TemporaryFailure`; it never reports "unknown" in that case.  Lookups
    have no side effects and may be repeated.  Addresses compare with the domain
    part folded to lower case and its A-label form, the local part case-folded.
    """

    def authenticate(login: str, password: str):
        """Fire with the `Principal` whose credentials these are, or None.

        Only individuals can log in.  Takes the same time for a login that does
        not exist, never blocks the reactor thread and never logs the password.
        `login` may be the principal's name or one of its addresses.
        """

    def principal(name: str):
        """Fire with the `Principal` called `name`, or None.

        Its `member_of` has the groups and lists that it is a direct member of;
        those are principals too (`mail.membership` follows them).
        """

    def recipients(address: str):
        """Fire with the tuple of `Principal`s whose accounts mail to `address` goes to.

        Each is an individual or a group: a group has an account of its own, so
        mail to it is not passed on to its members.  A list has none and stands
        for its members, lists among them included; who is reached several times
        appears once.  Resolves aliases and sub-addresses (`user+detail@`), in
        this order of preference: exact address, sub-address, catch-all of the
        domain.  Empty when the address does not exist here or reaches nobody.
        """

    def is_local_domain(domain: str):
        """Fire with True if addresses of `domain` are this directory's to know."""


class IRemovals(Interface):
    """A directory that remembers whose mail is to be deleted, until it is (`mail.removal`)."""

    def removals():
        """Fire with the names of removed principals whose accounts are to be deleted."""

    def removed(name: str):
        """Forget such a name: its account is gone."""


class IDirectoryEditor(Interface):
    """A directory as `mailhive account` changes it, also while a daemon has it open.

    For a process without a reactor: every method blocks, and what it changed is
    durable, and what the daemon goes by, when it returns.  Raises `MailhiveError`
    with one line that says what is wrong, `NotFound` for a name that nobody has;
    nothing was changed then.
    """

    def principals():
        """Every `Principal`, by name."""

    def principal(name: str):
        """The `Principal` of that name."""

    def scheme(name: str):
        """What the password of a principal is hashed by, as `argon2`; None without one."""

    def members(name: str):
        """The names of the direct members of a group or list."""

    def add(principal, secret: str | None = None) -> None:
        """Add a `Principal`, an individual with the hash of a password or without one."""

    def change(name: str, **values):
        """Replace attributes of a principal other than name and type; returns the new one."""

    def set_secret(name: str, secret: str | None) -> None:
        """Replace the hash of an individual's password; None takes the login away."""

    def remove(name: str, *, delete_mail: bool = False):
        """Remove a principal, and return it.

        With `delete_mail` its name is in `IRemovals.removals` in the same moment
        and cannot be added again until its account is gone.
        """

    def hash_password(password: str) -> str:
        """A hash for `add` and `set_secret`."""

    def checked_hash(secret: str) -> str:
        """A hash that another program made, if it is one that can be used."""

    def close() -> None:
        """Close what was opened."""
