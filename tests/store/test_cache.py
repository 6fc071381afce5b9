"""Results of queries that are kept."""

from array import array

from mailhive.model.email import EmailQuery, FilterCondition
from mailhive.store.cache import QueryCache, Results


def query(text: str) -> EmailQuery:
    return EmailQuery(FilterCondition((("text", text),)))


def test_queries_count_like_their_results() -> None:
    cache = QueryCache(100_000)
    texts = [str(number) * 30_000 for number in range(9)]
    for text in texts:
        cache.put("a", query(text), Results(array("q"), 1))
    kept = [text for text in texts if cache.get("a", query(text)) is not None]
    assert kept == texts[-3:]


def test_results_are_those_of_the_latest_state() -> None:
    cache = QueryCache(100_000)
    cache.put("a", query("x"), Results(array("q", [1]), 2))
    cache.put("a", query("x"), Results(array("q"), 1))
    assert cache.get("b", query("x")) is None
    found = cache.get("a", query("x"))
    assert found is not None and (found.state, list(found.emails)) == (2, [1])
