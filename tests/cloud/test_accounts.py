"""The installations in the database."""

from charging_manager.cloud.accounts import Sighting, Verifiers
from charging_manager.http.routes import Problem
from tests.cloud.house import VERIFIER, CloudTestCase


class AccountsTests(CloudTestCase):
    def test_an_added_installation_is_stored_as_given_and_found_in_any_spelling(self) -> None:
        self.got(self.accounts.add("Garage-West", VERIFIER))
        found = self.got(self.accounts.find("GARAGE-west"))
        assert found is not None
        self.assertEqual(
            (found.cloud_id, found.source, found.created_at, found.last_seen_at),
            ("Garage-West", "added", "2026-03-01T12:00:00+00:00", None),
        )
        self.assertEqual(self.got(self.accounts.verifiers("garage-WEST")), Verifiers(VERIFIER))

    def test_a_second_one_of_the_same_name_in_another_spelling_is_refused(self) -> None:
        self.got(self.accounts.add("garage", VERIFIER))
        with self.assertRaises(Problem) as caught:
            self.got(self.accounts.add("GARAGE", VERIFIER))
        self.assertEqual((caught.exception.status, caught.exception.where), (409, "cloud_id"))
        self.assertEqual(len(self.got(self.accounts.listing())), 1)

    def test_an_unknown_installation_has_no_verifier(self) -> None:
        self.assertIsNone(self.got(self.accounts.find("nobody")))
        self.assertIsNone(self.got(self.accounts.verifiers("nobody")))

    def test_one_enrolled_by_its_key_has_no_password_and_keeps_its_row(self) -> None:
        first = self.got(self.accounts.enrol("0123-4567-89AB-CDEF"))
        again = self.got(self.accounts.enrol("0123-4567-89AB-CDEF"))
        self.assertEqual((first.number, first.source), (again.number, "enrolled"))
        self.assertIsNone(self.got(self.accounts.verifiers("0123-4567-89AB-CDEF")))

    def test_a_deleted_one_is_gone_and_its_number_is_never_given_again(self) -> None:
        old = self.got(self.accounts.add("garage", VERIFIER))
        self.assertEqual(self.got(self.accounts.delete("Garage")), old)
        self.assertIsNone(self.got(self.accounts.delete("garage")))
        new = self.got(self.accounts.add("garage", VERIFIER))
        self.assertGreater(new.number, old.number)

    def test_sightings_keep_the_last_known_version(self) -> None:
        number = self.got(self.accounts.add("garage", VERIFIER)).number
        self.got(self.accounts.seen([Sighting(number, "2026-03-01T12:05:00+00:00", "1.2", True, 5, 7)]))
        self.got(
            self.accounts.seen(
                [Sighting(number, "2026-03-01T12:06:00+00:00", None, False, 1, 2), Sighting(number + 9, "x", "y", True)]
            )
        )
        found = self.got(self.accounts.find("garage"))
        assert found is not None
        self.assertEqual((found.last_seen_at, found.version), ("2026-03-01T12:06:00+00:00", "1.2"))
