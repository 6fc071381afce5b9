"""Messages per second by SMTP, or LMTP, over connections that are open."""

import time

from jmap import Failed
from smtp import deliver

from rows.site import Measurements, Site, row


def delivery(senders: int, count: int) -> None:
    @row(
        f"delivery by {senders}",
        unit="msg/s",
        rounds=3,
        limit=False,
        sized=senders == 8,
    )
    def run(site: Site) -> Measurements:
        if site.smtp is None:
            raise Failed("no SMTP address given")
        state = site.account.call("Email/get", ids=[])["state"]
        sent = 0
        try:
            while True:
                messages = site.fresh(count)
                seconds = deliver(site.smtp, site.recipient, messages, senders)
                sent += count
                yield count / seconds
        finally:
            site.destroy(arrived(site, state, sent))


def arrived(site: Site, state: str, expected: int) -> list[str]:
    """What came in; a server may answer 250 long before a message can be read."""
    ids: list[str] = []
    patience = 100
    while len(ids) < expected and patience:
        changes = site.account.call("Email/changes", sinceState=state)
        state = changes["newState"]
        ids += changes["created"]
        if not changes["created"] and not changes["hasMoreChanges"]:
            patience -= 1
            time.sleep(0.1)
    return ids


delivery(1, 30)
delivery(8, 100)
delivery(50, 250)
