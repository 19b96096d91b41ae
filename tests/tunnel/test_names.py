"""What an agent may have published, and which names lead to it, over a tunnel in memory: its own and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.cloud.domains import Domains
from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.cloud.publisher import Publisher
from charging_manager.cloud.splice import Spliced, Switchboard
from charging_manager.errors import TunnelError
from charging_manager.tunnel import commands
from charging_manager.tunnel.labels import PROOF, delegate_of, label_of, make_claim, make_domain_claim, proof_of
from tests.cloud.test_publisher import Zone
from tests.support.folders import temporary_path
from tests.tunnel.support import PASSWORD, FakeCloud, Tunnel
from tests.tunnel.test_splice import Here

VALUE = "v" * 43
DOMAIN = "charge.example.org"
CLAIMS = {name: make_claim(name.encode() * 4, "cloud.example:443") for name in ("garage", "depot")}
DOMAIN_CLAIMS = {name: make_domain_claim(name.encode() * 4, "cloud.example:443") for name in CLAIMS}


class Names(SynchronousTestCase):
    mktemp = temporary_path

    def setUp(self) -> None:
        self.clock = Clock()
        self.zone = Zone()
        self.records: dict[str, list[str]] = {}
        self.board = Switchboard(
            "cloud.example:443", domains=Domains(self._look, lambda: ["cloud.example"], self.clock)
        )
        path = Path(self.mktemp())
        path.mkdir()
        publisher = Publisher(self.zone, "cloud.example", path / "published.json", self.clock, 7.0)  # type: ignore[arg-type]
        cloud = FakeCloud(garage=PASSWORD, depot=PASSWORD)
        self.factory = TunnelFactory(self.clock, cloud, salt_key=b"s" * 32, switchboard=self.board, publisher=publisher)
        self.garage, self.depot = (self.tunnel(name) for name in ("garage", "depot"))

    async def _look(self, name: str) -> list[str]:
        return self.records.get(name, [])

    def tunnel(self, cloud_id: str, factory: TunnelFactory | None = None) -> Tunnel:
        return Tunnel(cloud_id=cloud_id, factory=factory or self.factory, clock=self.clock, splices=Here(self.clock))

    def ask(self, tunnel: Tunnel, question: Any) -> Any:
        """The answer, or the code of the refusal."""
        said: list[Any] = []
        asking = question if isinstance(question, Deferred) else Deferred.fromCoroutine(question)
        asking.addBoth(said.append)
        tunnel.flush()
        (outcome,) = said
        if isinstance(outcome, Failure):
            error = outcome.value
            assert isinstance(error, TunnelError), error
            return error.code
        return outcome

    def label(self, tunnel: Tunnel, name: str) -> None:
        self.ask(tunnel, tunnel.side.claim(CLAIMS[name]))

    def names(self) -> set[str]:
        return {name for name, _ in self.zone.records}

    def test_both_ends_say_what_they_can(self) -> None:
        for word in (commands.SPLICE, commands.DOMAIN, commands.PUBLISH):
            self.assertTrue(self.garage.side.can(word))
        bare = TunnelFactory(self.clock, FakeCloud(garage=PASSWORD), salt_key=b"s" * 32, switchboard=Switchboard())
        old = self.tunnel("garage", bare)
        self.assertTrue(old.side.can_splice)
        self.assertFalse(old.side.can(commands.PUBLISH) or old.side.can(commands.DOMAIN))
        self.assertEqual(self.ask(old, old.side.publish(VALUE)), "refused")
        self.assertEqual(self.ask(old, old.side.claim_domain(DOMAIN, DOMAIN_CLAIMS["garage"])), "refused")

    def test_without_a_label_nothing_is_published_and_nothing_leads_here(self) -> None:
        self.records[PROOF + DOMAIN] = [proof_of(DOMAIN_CLAIMS["garage"], DOMAIN)]
        self.assertEqual(self.ask(self.garage, self.garage.side.publish(VALUE)), "refused")
        claiming = self.garage.side.claim_domain(DOMAIN, DOMAIN_CLAIMS["garage"])
        self.assertEqual(self.ask(self.garage, claiming), "refused")
        self.assertEqual(self.names(), set())

    def test_the_name_follows_from_the_label_and_a_foreign_one_cannot_be_said(self) -> None:
        self.label(self.garage, "garage")
        self.label(self.depot, "depot")
        self.assertEqual(self.ask(self.garage, self.garage.side.publish(VALUE)), 7.0)
        self.assertEqual(self.names(), {f"_acme-challenge.{label_of(CLAIMS['garage'])}.cloud.example"})
        taking = self.depot.side.publish(VALUE, take=True)  # the same value, but under his own label
        self.ask(self.depot, taking)
        self.assertEqual(len(self.zone.records), 1)
        self.ask(self.garage, self.garage.side.publish(VALUE, take=True))
        self.assertEqual(self.names(), set())

    def test_a_claim_of_a_domain_has_a_name_of_its_own_that_does_not_tell_the_label(self) -> None:
        self.label(self.garage, "garage")
        claim = DOMAIN_CLAIMS["garage"]
        self.assertEqual(self.ask(self.garage, self.garage.side.publish(VALUE, claim)), 7.0)
        self.assertEqual(self.names(), {f"_acme-challenge.{delegate_of(claim)}.cloud.example"})
        self.assertNotIn(label_of(CLAIMS["garage"])[3:], str(self.names()))

    def test_a_claim_of_another_length_ends_the_connection(self) -> None:
        self.label(self.garage, "garage")
        self.ask(self.garage, self.garage.side.publish(VALUE, b"short"))
        self.assertEqual(self.garage.link.closing, "protocol")

    def test_a_domain_leads_to_who_proved_it_until_he_goes_or_takes_another_label(self) -> None:
        self.label(self.garage, "garage")
        self.label(self.depot, "depot")
        self.records[PROOF + DOMAIN] = [proof_of(DOMAIN_CLAIMS["garage"], DOMAIN)]
        self.assertIsNone(self.board.passed_on(DOMAIN, "192.0.2.7"))
        theft = self.depot.side.claim_domain(DOMAIN, DOMAIN_CLAIMS["depot"])
        self.assertEqual(self.ask(self.depot, theft), "domain-unproven")
        claiming = self.garage.side.claim_domain(DOMAIN, DOMAIN_CLAIMS["garage"])
        self.assertGreater(self.ask(self.garage, claiming), 3600)
        carried = self.board.passed_on(DOMAIN, "192.0.2.7")
        assert isinstance(carried, Spliced)
        self.assertIs(carried.link, self.garage.link)
        self.ask(self.garage, self.garage.side.claim(b""))
        self.assertIsNone(self.board.passed_on(DOMAIN, "192.0.2.7"))
        self.label(self.garage, "garage")
        self.ask(self.garage, self.garage.side.claim_domain(DOMAIN, DOMAIN_CLAIMS["garage"]))
        self.assertIsNotNone(self.board.passed_on(DOMAIN, "192.0.2.7"))
        self.garage.link.hang_up("stopping", now=True)
        self.garage.flush()
        self.assertIsNone(self.board.passed_on(DOMAIN, "192.0.2.7"))
