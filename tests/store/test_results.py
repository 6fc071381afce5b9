"""Results of queries that are carried forward instead of being computed anew."""

from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from mailhive.errors import CannotCalculateChanges
from mailhive.model.email import Comparator, EmailQuery, FilterCondition
from mailhive.store import results
from mailhive.store.cache import Results
from mailhive.store.results import _carry_forward, all_results
from mailhive.testing.conformance.mailstore_samples import file, inbox_of, new_email, refile


def condition(name: str, value: Any) -> FilterCondition:
    return FilterCondition(((name, value),))


@pytest.mark.parametrize("searched", [False, True], ids=["passed over", "searched"])
@pytest.mark.parametrize(
    "query",
    [
        EmailQuery(),
        EmailQuery(condition("notKeyword", "$seen"), (Comparator("size"),)),
        EmailQuery(condition("hasAttachment", False), (Comparator("subject", False),)),
        EmailQuery(condition("noneInThreadHaveKeyword", "$seen")),
        EmailQuery(None, (Comparator("hasKeyword", False, None, "$seen"),), True),
    ],
    ids=str,
)
@ensureDeferred
async def test_changes_are_worked_into_earlier_results(store, query, searched, monkeypatch):
    if searched:
        monkeypatch.setattr(results, "SCANNED", 0)
        monkeypatch.setattr(results, "PASSED", 0)
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], *map(new_email, range(1, 9)))

    def change(writer):
        state = writer.state("Email")
        earlier = Results(all_results(writer, query), state)
        one, two, *_ = writer.email_ids(9)
        refile(writer, one, keywords=["$seen"])
        writer.destroy_emails([two])
        file(writer, [mailbox], new_email(9))
        writer.sync()
        return earlier, _carry_forward(writer, query, earlier), all_results(writer, query)

    earlier, carried, fresh = await store.write(account, change)
    assert carried == fresh
    assert earlier.emails != fresh


@ensureDeferred
async def test_results_that_the_log_does_not_reach_are_computed_anew(open_store):
    store = open_store(change_log_size=1)
    account = await store.create_account("alice")
    mailbox = await store.write(account, inbox_of)
    await store.write(account, file, [mailbox], *map(new_email, range(1, 5)))
    query = EmailQuery(condition("minSize", 1), (Comparator("size"),))
    before = await store.read(account, lambda r: r.query_emails(query).ids)
    state = await store.read(account, lambda r: r.state("Email"))
    for email in before[:3]:
        await store.write(account, lambda w, email=email: w.destroy_emails([email]))
    assert await store.read(account, lambda r: r.query_emails(query).ids) == before[3:]
    with pytest.raises(CannotCalculateChanges):
        await store.read(account, lambda r: r.query_email_changes(query, state))
