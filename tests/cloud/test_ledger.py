"""What happened is written down, and bounded."""

from charging_manager.cloud import ledger
from charging_manager.cloud.ledger import CONNECTIONS_KEPT, Passage
from tests.cloud.house import VERIFIER, CloudTestCase


class LedgerTests(CloudTestCase):
    def test_only_the_newest_passages_of_each_installation_are_kept(self) -> None:
        busy = self.got(self.accounts.add("busy", VERIFIER)).number
        quiet = self.got(self.accounts.add("quiet", VERIFIER)).number
        self.got(self.ledger.passed([Passage(quiet, "connected", "once", "10.0.0.2", "1.0")]))
        for batch in range(3):
            self.got(
                self.ledger.passed(
                    [Passage(busy, "lost", f"{batch}-{n}", "10.0.0.1", "silent") for n in range(CONNECTIONS_KEPT)]
                )
            )
        kept = self.got(self.ledger.connections(busy))
        self.assertEqual((len(kept), kept[0]["at"]), (CONNECTIONS_KEPT, f"2-{CONNECTIONS_KEPT - 1}"))
        self.assertEqual(len(self.got(self.ledger.connections(quiet))), 1)
        stored = self.got(self.database.read(lambda db: db.execute("SELECT count(*) FROM connections").fetchone()[0]))
        self.assertEqual(stored, CONNECTIONS_KEPT + 1)

    def test_a_passage_of_an_installation_that_is_gone_is_dropped_alone(self) -> None:
        here = self.got(self.accounts.add("here", VERIFIER)).number
        self.got(
            self.ledger.passed(
                [Passage(here + 5, "lost", "t", "s", "d"), Passage(here, "connected", "t", "10.0.0.1", "1.0")]
            )
        )
        self.assertEqual(
            self.got(self.ledger.connections(here)),
            [{"event": "connected", "at": "t", "source": "10.0.0.1", "detail": "1.0"}],
        )

    def test_failed_logins_and_deeds_are_listed_newest_first_and_bounded(self) -> None:
        self.patch(ledger, "ROWS_KEPT", 3)
        self.patch(ledger, "AUDIT_KEPT", 3)
        here = self.got(self.accounts.add("Here", VERIFIER)).number
        self.got(self.ledger.login_failed("installation", here, "10.0.0.1", "refused"))
        self.got(self.ledger.login_failed("installation", None, "10.0.0.2", "unknown-id"))
        self.got(self.ledger.login_failed("installation", here + 9, "10.0.0.2", "refused"))
        self.assertEqual([f["cloud_id"] for f in self.got(self.ledger.failures(10))], [None, "Here"])
        for n in range(5):
            self.got(self.ledger.did("cloud-admin", "10.0.0.1", "installation-added", f"site-{n}"))
        self.assertEqual([d["subject"] for d in self.got(self.ledger.audit(10))], ["site-4", "site-3", "site-2"])

    def test_a_ledger_that_cannot_be_written_is_logged_and_hinders_nobody(self) -> None:
        self.got(self.database.write(lambda db: db.execute("DROP TABLE audit")))
        self.assertIsNone(self.got(self.ledger.did("cloud-admin", "10.0.0.1", "installation-added", "site")))
        self.assertEqual(len(self.flushLoggedErrors()), 1)
