"""Random histories, replayed on a plain model."""

from functools import partial

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_twisted import ensureDeferred
from twisted.internet import reactor
from twisted.internet.threads import blockingCallFromThread, deferToThread

from mailhive.store import listview, results
from mailhive.testing.conformance.mailstore_machine import MailStoreMachine


@pytest.mark.parametrize("reach", [800, 3], ids=["walks", "arrays"])
@ensureDeferred
async def test_random_histories_agree_with_the_model(store, check, reach, monkeypatch):
    monkeypatch.setattr(listview, "REACH", reach)
    monkeypatch.setattr(listview, "SKIP", reach)
    if reach < 10:  # and look for each Email by halves, however few there are
        monkeypatch.setattr(results, "SCANNED", 0)
        monkeypatch.setattr(results, "PASSED", 0)

    class Machine(MailStoreMachine):
        pass

    Machine.store = store
    Machine.wait = staticmethod(partial(blockingCallFromThread, reactor))
    Machine.check = staticmethod(check)
    amount = settings(max_examples=25, stateful_step_count=20, deadline=None)
    await deferToThread(run_state_machine_as_test, Machine, settings=amount)
