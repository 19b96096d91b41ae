"""Whose a domain is: what the DNS says decides, and nobody takes another one's or the cloud's own."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from charging_manager.cloud.domains import LEASE_S, PER_HOUR, Domains, names_of
from charging_manager.dns.ask import DnsError
from charging_manager.tunnel.labels import PROOF, make_domain_claim, proof_of
from charging_manager.tunnel.reasons import Refusal, Violation
from tests.agent.waiting import result_of

DOMAIN = "charge.example.org"


class Agent:
    """As much of a link as is needed."""

    transport: Any = object()
    closing = None

    def __init__(self, cloud_id: str) -> None:
        self.cloud_id = cloud_id
        self.claim = make_domain_claim(cloud_id.encode() * 4, "cloud.example:443")

    def name(self) -> str:
        return self.cloud_id

    def proof(self, domain: str = DOMAIN) -> str:
        return proof_of(self.claim, domain)


class House:
    def __init__(self) -> None:
        self.clock = Clock()
        self.records: dict[str, list[str]] = {}
        self.dns_is_down = False
        self.looks = 0
        own = names_of("cloud.example", ["portal.example", "*.star.example", "localhost"])
        self.domains = Domains(self.look, lambda: own, self.clock)
        self.told: list[tuple[str, str | None]] = []
        self.elsewhere: dict[str, Any] = {}
        self.domains.watch(lambda *what: self.told.append(what), self.elsewhere.get)

    async def look(self, name: str) -> list[str]:
        self.looks += 1
        if self.dns_is_down:
            raise DnsError("dns-timeout", server="ns.example")
        return self.records.get(name, [])

    def claim(self, agent: Agent, domain: str = DOMAIN, claim: bytes | None = None) -> str:
        """ "ok", or the code of the refusal."""
        asking: Any = self.domains.claim(agent, domain, agent.claim if claim is None else claim)  # type: ignore[arg-type]
        try:
            result_of(Deferred.fromCoroutine(asking))
        except Refusal as refusal:
            return refusal.code
        return "ok"

    def holder(self, domain: str = DOMAIN) -> Any:
        return self.domains.holder(domain)

    def publish(self, *agents: Agent, domain: str = DOMAIN) -> None:
        self.records[PROOF + domain] = [agent.proof(domain) for agent in agents]


@pytest.fixture
def house() -> House:
    return House()


ANN, BOB = Agent("ann"), Agent("bob")


def test_nothing_leads_anywhere_before_the_dns_says_so(house: House) -> None:
    assert house.claim(ANN) == "domain-unproven"
    assert house.holder() is None
    house.publish(ANN)
    assert house.claim(ANN) == "ok"
    assert house.holder() is ANN
    house.domains.release(ANN)  # type: ignore[arg-type]
    assert house.holder() is None


def test_who_reads_anothers_record_can_do_nothing_with_it(house: House) -> None:
    house.publish(ANN)
    assert house.claim(ANN) == "ok"
    assert house.claim(BOB) == "domain-unproven"
    assert house.claim(BOB, claim=ANN.proof().encode()[:32]) == "domain-unproven"
    assert house.holder() is ANN
    house.records[PROOF + "other.example.org"] = [ANN.proof()]  # a record of another domain
    assert house.claim(ANN, "other.example.org") == "domain-unproven"


def test_the_first_of_two_keeps_it_while_its_record_is_there(house: House) -> None:
    house.publish(ANN, BOB)
    assert house.claim(ANN) == "ok"
    assert house.claim(BOB) == "domain-taken"
    assert house.holder() is ANN
    house.publish(BOB)
    assert house.claim(BOB) == "ok"
    assert house.holder() is BOB
    assert house.claim(ANN) == "domain-unproven"
    assert house.holder() is BOB


def test_the_same_installation_on_a_new_tunnel_takes_over(house: House) -> None:
    house.publish(ANN)
    assert house.claim(ANN) == "ok"
    again = Agent("Ann")
    again.claim = ANN.claim
    assert house.claim(again) == "ok"
    assert house.holder() is again
    house.domains.release(ANN)  # type: ignore[arg-type]
    assert house.holder() is again


def test_a_record_that_has_gone_ends_it_at_the_next_look_and_a_silent_dns_does_not(house: House) -> None:
    house.publish(ANN)
    assert house.claim(ANN) == "ok"
    house.dns_is_down = True
    house.clock.advance(LEASE_S - 1)
    assert house.claim(ANN) == "ok"
    assert house.claim(BOB) == "domain-unknown"
    house.clock.advance(2)
    assert house.holder() is None  # an agent that no longer proves it has it no longer
    assert house.told[-1] == ("ann", None)
    assert house.claim(ANN) == "domain-unknown"
    house.dns_is_down = False
    assert house.claim(ANN) == "ok"
    house.records.clear()
    assert house.claim(ANN) == "domain-unproven"
    assert house.holder() is None


@pytest.mark.parametrize(
    "name",
    [
        "cloud.example",
        "deep.under.cloud.example",
        "portal.example",
        "star.example",
        "any.star.example",
        "localhost",
        "cm-aaaaaaaaaaaaaaaa.example.org",
        "Charge.example.org",
        "charge.example.org.",
        "charge.example.org:443",
        "192.0.2.1",
        "*.example.org",
        "a" * 300,
    ],
)
def test_the_clouds_own_names_and_what_is_none_are_never_given_away(house: House, name: str) -> None:
    house.publish(ANN, domain=name)
    assert house.claim(ANN, name) == "domain-forbidden"
    assert house.looks == 0
    assert house.holder(name) is None


def test_names_beside_the_clouds_are_not_the_clouds(house: House) -> None:
    for name in ("mycloud.example", "sub.portal.example"):
        house.publish(ANN, domain=name)
        assert house.claim(ANN, name) == "ok"
        assert house.holder(name) is ANN
    assert len(house.domains) == 1  # one at a time


def test_looking_costs_so_it_is_counted(house: House) -> None:
    assert {house.claim(ANN) for _ in range(PER_HOUR)} == {"domain-unproven"}
    assert house.claim(ANN) == "too-often"
    assert house.claim(BOB) == "domain-unproven"
    house.clock.advance(3601)
    assert house.claim(ANN) == "domain-unproven"


def test_a_claim_has_its_length_and_an_empty_domain_gives_back(house: House) -> None:
    with pytest.raises(Violation):
        house.claim(ANN, claim=b"short")
    house.publish(ANN)
    assert house.claim(ANN) == "ok"
    assert house.claim(ANN, "") == "ok"
    assert house.holder() is None


def test_who_has_gone_while_the_dns_was_asked_gets_nothing(house: House) -> None:
    house.publish(ANN)
    gone = Agent("ann")
    gone.claim, gone.transport = ANN.claim, None
    assert house.claim(gone) == "offline"
    assert house.holder() is None


def test_other_servers_are_told_and_asked_but_what_is_here_counts_first(house: House) -> None:
    house.elsewhere[DOMAIN] = BOB
    assert house.holder() is BOB
    house.publish(ANN)
    assert house.claim(ANN) == "ok"
    assert house.holder() is ANN
    assert house.told == [("ann", DOMAIN)]
    house.domains.stop()
    assert house.told[-1] == ("ann", None)
    assert house.holder() is BOB
    assert not house.clock.getDelayedCalls()
