"""Directory: who exists, who they are, and which address reaches whom."""

from zope.interface import Attribute, Interface

__all__ = [
    "IAppCredentials",
    "IDirectory",
    "IDirectoryEditor",
    "IProvisioning",
    "IRemovals",
    "IScramLogins",
]


class IDirectory(Interface):
    """Principals and their addresses.

    Every method returns a Deferred.  A directory that cannot answer now fails
    with `TemporaryFailure`; it never reports "unknown" in that case.  Lookups
    have no side effects and may be repeated.  Addresses compare with the domain
    part folded to lower case and its A-label form, the local part case-folded.
    """

    def authenticate(login: str, password: str):
        """Fire with the `Principal` whose credentials these are, or None.

        Only individuals can log in, and only who is enabled.  Takes the same time for a
        login that does not exist, never blocks the reactor thread and never logs the password.
        `login` may be the principal's name or one of its addresses.
        Its `credential` is one of the `credentials` of the same principal for as long
        as it can log in so, if the directory can tell.
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
        What they are members of need not be told.
        """

    def is_local_domain(domain: str):
        """Fire with True if addresses of `domain` are this directory's to know."""


class IRemovals(Interface):
    """A directory that remembers whose mail is to be deleted, until it is (`mail.removal`)."""

    def removals():
        """Fire with the names of removed principals whose accounts are to be deleted."""

    def removed(name: str):
        """Forget such a name: its account is gone."""


class IAppCredentials(Interface):
    """A directory that keeps app passwords and tokens beside the passwords.

    Each is of one individual, and good for some of `model.credential.SERVICES`.
    Both methods return Deferreds, fail as those of `IDirectory`, and note when
    the credential was last used.
    """

    def app_password(login: str, password: str, service: str):
        """Fire with the `Principal` who logs in to `service` by this app password, or None.

        Takes no longer for one that exists: app passwords are too many to guess.
        """

    def token(token_id: str, service: str):
        """Fire with the `Principal` for whom this token was made, or None.

        None as well when it is removed, has expired, or is not for `service`.  That
        the token is genuine was verified before.
        """


class IScramLogins(Interface):
    """A directory that can keep passwords so that SCRAM-SHA-256 works (RFC 5802, RFC 7677)."""

    offers_scram = Attribute("Whether it does now, so that users may be offered to log in so.")

    def scram(login: str, salt: bytes):
        """Fire with the `ScramLogin` of who logs in as that by their password.

        For one who does not exist, or cannot log in so, it is made up, without a name, and
        takes as long.  `salt`, of 32 octets, is always the same for a login; its beginning
        is the salt of those who have none.  Fails as `authenticate` does.
        """


class IProvisioning(Interface):
    """A directory in which an individual can be made whom somebody else vouches for."""

    def provision(name: str):
        """Fire with the `Principal` of that name, made without a password if need be.

        Idempotent.  None if the name cannot be one of a new principal.
        """


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
        """Replace attributes of a principal other than name and type; returns the new one.

        A value may be a function of the principal as it is.
        """

    def set_secret(name: str, secret: str | None) -> None:
        """Replace the hash of an individual's password; None takes the login away."""

    def remove(name: str, *, delete_mail: bool = False):
        """Remove a principal, and return it.

        With `delete_mail` its name is in `IRemovals.removals` in the same moment
        and cannot be added again until its account is gone.
        """

    def add_app_password(name: str, label: str, services) -> str:
        """Make an app password of an individual for some services; returns it, for the only time.

        `label` tells it from their others.
        """

    def add_token(name: str, label: str, services, expires: int | None = None) -> str:
        """Make a token, good until a time in seconds; returns its id, which is to be signed."""

    def credentials(kind: str, name: str | None = None):
        """The `AppCredential`s of a kind, of one principal or of all, by name and label."""

    def remove_credential(kind: str, name: str, label: str) -> None:
        """Remove an app password or token; it lets nobody in from then on."""

    def hash_password(password: str) -> str:
        """A hash for `add` and `set_secret`, with all else that logins by it need."""

    def checked_hash(secret: str) -> str:
        """A hash that another program made, if it is one that can be used."""

    def close() -> None:
        """Close what was opened."""
