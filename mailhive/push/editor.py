"""What a user may do with push subscriptions of their own (RFC 8620 §7.2.2)."""

from collections import defaultdict, deque
from secrets import token_urlsafe

from attrs import define, field
from zope.interface import implementer

from mailhive.errors import OverQuota, RateLimited
from mailhive.interfaces.webpush import IPushEditor
from mailhive.model.ids import random_id
from mailhive.model.principal import Principal
from mailhive.model.webpush import NewPushSubscription, PushSubscription
from mailhive.push.ledger import Entry, Ledger
from mailhive.push.state import encode_push_state

__all__ = ["Creations", "Editor"]

#: Subscriptions that a user may make within `PERIOD` milliseconds: each is a
#: request to an address of the user's choice (RFC 8620 §8.6).
MOST = 30
PERIOD = 3_600_000


class Creations:
    """When users have made subscriptions."""

    def __init__(self) -> None:
        self._times: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=MOST))

    def note(self, owner: str, now: int) -> None:
        """One more; `RateLimited` if that is too soon."""
        times = self._times[owner]
        if len(times) == MOST and now < times[0] + PERIOD:
            raise RateLimited(f"{MOST} subscriptions were made within the last hour")
        times.append(now)


@implementer(IPushEditor)
@define
class Editor:
    """`IPushEditor` in the transaction that is open on `ledger`.

    `touched` and `removed` are the subscriptions to look at when it is committed.
    """

    principal: Principal
    now: int
    _ledger: Ledger
    _creations: Creations
    _most: int
    _signer: str
    _throttle: int
    touched: set[str] = field(factory=set)
    removed: bool = False

    def subscriptions(self) -> dict[str, PushSubscription]:
        found = self._ledger.subscriptions(self.principal.name, self.principal.credential, self.now)
        return {subscription.id: subscription for subscription in found}

    def create(self, new: NewPushSubscription) -> PushSubscription:
        owner = self.principal.name
        if self._ledger.count(owner) >= self._most:
            raise OverQuota(f"There can be {self._most} subscriptions")
        self._creations.note(owner, self.now)
        made = PushSubscription(
            id=random_id("P"),
            device=new.device,
            url=new.url,
            keys=new.keys,
            code=token_urlsafe(24),
            is_verified=False,
            expires=new.expires,
            types=new.types,
        )
        self._ledger.add(
            Entry(
                made,
                owner,
                self.principal.credential,
                signer=self._signer,
                position=encode_push_state(new.position),
                interval=self._throttle,
            )
        )
        self.touched.add(made.id)
        return made

    def change(self, subscription: PushSubscription) -> None:
        self._ledger.change(subscription)
        self.touched.add(subscription.id)

    def destroy(self, subscription_id: str) -> None:
        self._ledger.remove(subscription_id)
        self.touched.add(subscription_id)
        self.removed = True
