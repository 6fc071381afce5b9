"""Directory: who exists, who they are, and which address reaches whom."""

from zope.interface import Interface

__all__ = ["IDirectory"]


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
