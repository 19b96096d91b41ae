"""Transactions of OCPP in the database: numbered once, told again, whose card, and whose charge point."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from charging_manager.agent.config import DeviceSettings, Kind
from charging_manager.agent.ocpp_ledger import TransactionLedger, card_hash
from charging_manager.ocpp.values import Moment, Transaction
from tests.agent.values import START_AT
from tests.agent.waiting import result_of
from tests.agent.whole import WholeAgent

BEGAN = Transaction(Moment.BEGAN, START_AT, 1, token="CARD-1", meter_wh=1000.0)


@pytest.fixture
def ledger(agent: WholeAgent) -> TransactionLedger:
    agent.json("POST", "users", {"id": "anna", "name": "Anna"})
    device = DeviceSettings("box", "Box", Kind.CHARGE_POINT, "ocpp", "ocpp:CP1", agent.store.current.root or "")

    def with_box(config: Any) -> Any:
        cards = {card_hash(agent.people, "CARD-1"): "anna"}
        return evolve(config, devices={**config.devices, "box": device}, ocpp=evolve(config.ocpp, cards=cards))

    result_of(agent.store.change(with_box))
    return fresh(agent)


def fresh(agent: WholeAgent) -> TransactionLedger:
    """As after a start of the program."""
    made = TransactionLedger(
        agent.database,
        agent.records,
        agent.site.book,
        agent.site.take_down,
        lambda: agent.store.current,
        agent.people,
        agent.now,
    )
    result_of(Deferred.fromCoroutine(made.load()))
    return made


def take(ledger: TransactionLedger, event: Transaction, identity: str = "CP1", late: bool = False) -> Any:
    return result_of(Deferred.fromCoroutine(ledger.take(identity, event, late)))


def test_what_is_said_again_has_the_same_number_after_a_restart_too(
    agent: WholeAgent, ledger: TransactionLedger
) -> None:
    number, connector, may = take(ledger, BEGAN)
    assert (connector, may) == (1, True)
    assert take(fresh(agent), BEGAN) == (number, 1, True)
    assert fresh(agent).running("CP1") == {1: number}
    other = take(ledger, evolve(BEGAN, at=START_AT + timedelta(seconds=60)))
    assert other[0] != number


def test_a_session_belongs_to_whose_card_it_was_and_is_told_whole(agent: WholeAgent, ledger: TransactionLedger) -> None:
    number, *_ = take(ledger, BEGAN, late=True)
    agent.run(600)
    ended = Transaction(Moment.ENDED, START_AT + timedelta(seconds=300), number=number, meter_wh=6000.0)
    take(ledger, ended, late=True)
    take(ledger, ended, late=True)
    take(fresh(agent), ended, late=True)
    (session,) = [one for one in agent.json("GET", "sessions")["sessions"] if one["charge_point"] == "box"]
    assert (session["user"], session["energy_wh"]) == ("anna", 5000.0)
    assert ledger.running("CP1") == {}


def test_nobody_ends_the_transaction_of_another_charge_point(ledger: TransactionLedger) -> None:
    number, *_ = take(ledger, BEGAN)
    ended = Transaction(Moment.ENDED, START_AT, number=number, meter_wh=6000.0)
    take(ledger, ended, identity="CP2")
    assert ledger.running("CP1") == {1: number}


def test_cards_count_where_the_site_says_so(agent: WholeAgent, ledger: TransactionLedger) -> None:
    assert ledger.may_charge("STRANGER", "CP1", 1)
    result_of(agent.store.change(lambda config: evolve(config, ocpp=evolve(config.ocpp, known_cards_only=True))))
    assert not ledger.may_charge("STRANGER", "CP1", 1)
    assert ledger.last_unknown is not None
    assert "STRANGER" not in str(ledger.last_unknown)
    assert ledger.may_charge("card-1", "CP1", 1)
    assert ledger.may_charge(ledger.own_token, "CP1", 1)


def test_a_charge_point_without_a_clock_lives_now(agent: WholeAgent, ledger: TransactionLedger) -> None:
    take(ledger, evolve(BEGAN, at=START_AT - timedelta(days=20_000)))
    (row,) = result_of(agent.database.read(lambda c: c.execute("SELECT began_at FROM ocpp_transaction").fetchall()))
    assert row[0] == agent.now().isoformat(timespec="milliseconds")
