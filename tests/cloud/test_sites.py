"""Tunnels come and go; the database follows."""

from attrs import define, field
from twisted.logger import capturedLogs

from charging_manager.cloud import accounts
from charging_manager.cloud.sites import SIGHT_EVERY_S, WRITE_EVERY_S, Sites
from tests.cloud.house import VERIFIER, CloudTestCase


@define(eq=False)
class FakeLink:
    """A tunnel as far as ``Sites`` looks at it."""

    cloud_id: str
    program: str = "charging-manager 1.0"
    source: str = "10.0.0.1"
    closed: list[str] = field(factory=list)

    def close(self, reason: str) -> None:
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

    def test_keys_made_in_a_loop_fill_no_disk(self) -> None:
        self.patch(accounts, "MOST_ENROLLED", 1)
        sites = self.make(open_enrolment=True)
        self.assertTrue(self.got(sites.admits("0123-4567-89AB-CDEF")))
        with capturedLogs() as logged:
            self.assertFalse(self.got(sites.admits("0123-4567-89AB-CDEG")))
        self.assertEqual(len(logged), 1)
        self.assertTrue(self.got(sites.admits("0123-4567-89AB-CDEF")))
