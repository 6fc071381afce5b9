"""Email/query with other filters and sorts: the first 50 and how many there are."""

from collections.abc import Callable
from typing import Any

from vocabulary import COMMON, PHRASE, RARE, TEN

from rows.site import NEWEST, PAGE, Measurements, Site, row


def search(
    name: str,
    condition: dict[str, Any],
    sort: list[dict[str, Any]] = NEWEST,
    **about: Any,
) -> Callable[[Site], Measurements]:
    @row(name, **about)
    def run(site: Site) -> Measurements:
        where = {"inMailbox": site.inbox} if "inbox" in name else {}
        while True:
            site.query(filter={**where, **condition}, sort=sort, limit=PAGE, calculateTotal=True)
            yield site.account.seconds

    return run


search("search: word of ten", {"text": TEN}, indexed=True)
search_rare = search("search: rare word", {"text": RARE})
search_common = search("search: common word", {"text": COMMON}, goal=5)
search("search: two words", {"text": f"{COMMON} invoice"})
search("search: phrase", {"text": f'"{PHRASE}"'})
search("search: Cyrillic word", {"body": "договор"})
search("search: from", {"from": "alice"})
inbox_unread = search("inbox unread", {"notKeyword": "$seen"})
by_subject = search("inbox by subject", {}, [{"property": "subject", "isAscending": True}], goal=5)
