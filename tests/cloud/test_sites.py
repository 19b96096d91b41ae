"""Tunnels come and go; the database follows."""

from attrs import define, field
from twisted.logger import capturedLogs

from charging_manager.cloud import accounts
from charging_manager.cloud.accounts import Change
from charging_manager.cloud.sites import SIGHT_EVERY_S, WRITE_EVERY_S, Sites
from charging_manager.tunnel.scram import make_verifier
from tests.cloud.house import VERIFIER, CloudTestCase


@define(eq=False)
class FakeLink:
    """A tunnel as far as ``Sites`` looks at it."""

    cloud_id: str
    program: str = "charging-manager 1.0"
    source: str = "10.0.0.1"
    bytes_in: int = 0
    bytes_out: int = 0
    closed: list[str] = field(factory=list)

    async def close(self, reason: str, *, drain_s: float) -> None:
        self.closed.append(reason)


class SitesTests(CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.number = self.got(self.accounts.add("Garage", VERIFIER)).number
        self.sites = self.make()

    def make(self, open_enrolment: bool = False) -> Sites:
        return Sites(self.accounts, self.ledger, lambda: True, open_enrolment, self.clock, self.now)

    def test_comings_and_goings_are_written_together_after_two_seconds(self) -> None:
        self.sites.startService()
        self.addCleanup(self.sites.stopService)
        link = FakeLink("garage")
        self.sites.connected(link)
        self.sites.lost(link, "silent")
        self.assertEqual(self.got(self.ledger.connections(self.number)), [])
        self.clock.advance(WRITE_EVERY_S)
        kept = self.got(self.ledger.connections(self.number))
        self.assertEqual([(k["event"], k["detail"]) for k in kept], [("lost", "silent"), ("connected", "1.0")])
        found = self.got(self.accounts.find("garage"))
        assert found is not None
        self.assertEqual((found.version, found.last_seen_at), ("1.0", "2026-03-01T12:00:00+00:00"))

    def test_a_tunnel_that_stays_is_seen_every_minute(self) -> None:
        self.sites.startService()
        self.addCleanup(self.sites.stopService)
        self.sites.connected(FakeLink("garage"))
        self.clock.pump([SIGHT_EVERY_S / 2, SIGHT_EVERY_S / 2, WRITE_EVERY_S])
        found = self.got(self.accounts.find("garage"))
        assert found is not None
        self.assertEqual(found.last_seen_at, "2026-03-01T12:01:00+00:00")

    def test_stopping_writes_what_is_known(self) -> None:
        self.sites.startService()
        self.sites.connected(FakeLink("garage"))
        self.got(self.sites.stopService())
        self.assertEqual(len(self.got(self.ledger.connections(self.number))), 1)

    def test_an_installation_deleted_while_it_logs_in_is_closed(self) -> None:
        self.got(self.accounts.delete("garage"))
        link = FakeLink("garage")
        self.sites.connected(link)
        self.assertEqual(link.closed, ["deleted"])

    def test_only_open_enrolment_admits_serial_numbers(self) -> None:
        self.assertFalse(self.got(self.sites.admits("0123-4567-89AB-CDEF")))
        self.assertIsNone(self.got(self.accounts.find("0123-4567-89AB-CDEF")))
        self.assertTrue(self.got(self.make(open_enrolment=True).admits("0123-4567-89AB-CDEF")))
        self.assertIsNotNone(self.got(self.accounts.find("0123-4567-89AB-CDEF")))

    def test_what_waits_for_approval_or_is_disabled_is_told_so_and_stays_out(self) -> None:
        sites = Sites(self.accounts, self.ledger, lambda: True, True, self.clock, self.now, lambda: True)
        serial = "0123-4567-89AB-CDEF"
        self.assertTrue(self.got(sites.admits(serial)))
        waiting = FakeLink(serial)
        sites.connected(waiting)
        self.assertEqual(waiting.closed, ["not-approved"])
        self.got(self.accounts.approve(serial))
        self.assertTrue(self.got(sites.admits(serial)))
        approved = FakeLink(serial)
        sites.connected(approved)
        self.assertEqual(approved.closed, [])
        self.got(self.accounts.change(serial, Change(disabled=True)))
        disabled = FakeLink(serial)
        sites.connected(disabled)
        self.assertEqual(disabled.closed, ["disabled"])

    def test_who_was_approved_before_it_asked_comes_in(self) -> None:
        serial = self.got(self.accounts.approve("0123-4567-89AB-CDEF")).cloud_id
        sites = Sites(self.accounts, self.ledger, lambda: True, True, self.clock, self.now, lambda: True)
        self.assertTrue(self.got(sites.admits(serial)))
        link = FakeLink(serial)
        sites.connected(link)
        self.assertEqual(link.closed, [])

    def test_traffic_and_presence_are_kept_over_tunnels_that_displace_each_other(self) -> None:
        self.sites.startService()
        self.addCleanup(self.sites.stopService)
        first, second = FakeLink("garage", bytes_in=10, bytes_out=1), FakeLink("garage")
        self.sites.connected(first)
        self.clock.advance(WRITE_EVERY_S)
        first.bytes_in, first.bytes_out = 30, 5
        self.sites.connected(second)
        self.sites.lost(first, "displaced")
        second.bytes_in = 7
        self.clock.pump([SIGHT_EVERY_S, WRITE_EVERY_S])
        found = self.got(self.accounts.find("garage"))
        assert found is not None
        self.assertEqual((found.received_bytes, found.sent_bytes, found.state), (37, 5, "connected"))
        self.sites.lost(second, "lost")
        self.clock.advance(WRITE_EVERY_S)
        found = self.got(self.accounts.find("garage"))
        assert found is not None
        self.assertEqual((found.received_bytes, found.state), (37, "offline"))

    def test_the_first_proof_of_a_new_password_ends_the_old_one(self) -> None:
        new = make_verifier("the new password", beside=make_verifier("old", iterations=100_000))
        self.got(self.accounts.change("garage", Change(new_password=new)))
        self.assertEqual(self.got(self.sites.verifiers_of("garage")), [VERIFIER, new])
        self.assertTrue(self.got(self.sites.proved("garage", VERIFIER)))
        self.assertTrue(self.got(self.sites.proved("garage", new)))
        self.assertEqual(self.got(self.sites.verifiers_of("garage")), [new])
        self.assertFalse(self.got(self.sites.proved("garage", VERIFIER)))
        self.assertEqual(self.got(self.ledger.audit(1))[0]["action"], "password-proven")

    def test_keys_made_in_a_loop_fill_no_disk(self) -> None:
        self.patch(accounts, "MOST_ENROLLED", 1)
        sites = self.make(open_enrolment=True)
        self.assertTrue(self.got(sites.admits("0123-4567-89AB-CDEF")))
        with capturedLogs() as logged:
            self.assertFalse(self.got(sites.admits("0123-4567-89AB-CDEG")))
        self.assertEqual(len(logged), 1)
        self.assertTrue(self.got(sites.admits("0123-4567-89AB-CDEF")))
