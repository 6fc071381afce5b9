"""Push subscriptions: whom to tell of changes at a URL of theirs (RFC 8620 §7.2)."""

from zope.interface import Attribute, Interface

__all__ = ["IPushEditor", "IPushSubscriptions"]


class IPushSubscriptions(Interface):
    """Every subscription of the server.

    One is tied to a user and to the credential that made it; only a request with
    that credential sees it.  It goes when the credential does, when it expires, or
    when the push service says that nobody is behind it any more; its URL and keys
    are then erased.  A `principal` is one whose `credential` tells what it was
    authenticated by.
    """

    application_server_key = Attribute(
        "The public key that signs what is pushed, as RFC 9749 §3 has it (str)."
    )
    max_life = Attribute("Milliseconds after which a subscription expires at the latest (int).")

    def refusal(url: str):
        """Why nothing may be pushed to that `https` URL, in one sentence; None if that is not known.

        Looks at the URL only: what a name resolves to is looked at with each push.
        """

    def edit(principal, fn):
        """Fire with `fn(editor)` once what it did is durable; `editor` is an `IPushEditor`.

        When `fn` raises, nothing was done, and the Deferred fires with that.  New
        subscriptions are sent their PushVerification right after.
        """


class IPushEditor(Interface):
    """The subscriptions of one user, made with one credential, in one transaction."""

    def subscriptions():
        """A dict of id to `PushSubscription`."""

    def create(new):
        """Add a `NewPushSubscription`; the `PushSubscription`.

        `OverQuota` when the user has as many as anybody may, `RateLimited` when too
        many were made a short while ago (RFC 8620 §8.6).
        """

    def change(subscription) -> None:
        """Write down `is_verified`, `expires` and `types` of a `PushSubscription`."""

    def destroy(subscription_id: str) -> None:
        """Erase a subscription."""
