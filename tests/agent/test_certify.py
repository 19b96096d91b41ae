"""Certificates by ACME over years of a test's time: got, renewed, refused, interrupted."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from charging_manager.acme.authority import Reply
from charging_manager.agent.acme_settings import AcmeSettings
from charging_manager.agent.acme_state import StateFile
from charging_manager.agent.api_cloud import ShownUplink
from charging_manager.agent.certify import NO_PUBLISHER_SENTENCE, AcmeStand, Certifier
from charging_manager.agent.end_to_end import EndToEnd
from charging_manager.tunnel import commands
from charging_manager.tunnel.dial import ServerName
from charging_manager.tunnel.reasons import trouble
from tests.agent.test_end_to_end import Side, Uplink
from tests.support.paper_authority import DIRECTORY, TERMS, PaperAuthority

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY_S = 86_400.0


class Cloud(Side):
    """A live connection to a cloud that publishes, or does not."""

    def __init__(self, *abilities: str) -> None:
        super().__init__("cloud.example:443")
        self.abilities = abilities
        self.published: dict[str, bytes | None] = {}
        self.trouble: str | None = None

    def can(self, capability: str) -> bool:
        return capability in self.abilities

    def publish(self, value: str, claim: bytes | None = None, *, take: bool = False) -> Deferred[float]:
        if self.trouble is not None:
            return fail(trouble(self.trouble))
        if take:
            self.published.pop(value, None)
        else:
            self.published[value] = claim
        return succeed(20.0)

    async def claim_domain(self, domain: str, claim: bytes) -> float:
        return 21_600.0


class House:
    """An agent's end-to-end mode with all that lies around it; a restart is another one on the same folder."""

    def __init__(self, folder: Path, clock: Clock | None = None, authority: PaperAuthority | None = None) -> None:
        self.clock = clock or Clock()
        self.folder = folder
        self.authority = authority or PaperAuthority(self.now)
        self.authority.now = self.now
        self.settings = AcmeSettings(True, DIRECTORY, terms=TERMS)
        self.key_at: Callable[[str], str] = lambda host: self.door.tls.fingerprint
        self.door = EndToEnd(self.clock, folder, True, now=self.now, look=self._look)
        self.cloud = Cloud(commands.PUBLISH, commands.DOMAIN)
        self.authority.proved = lambda name, value: value in self.cloud.published
        self.uplink = Uplink()
        self.door.follow(self.uplink)  # type: ignore[arg-type]
        self.certifier = Certifier(
            self.clock,
            self.door,
            StateFile(folder / "acme.json"),
            lambda: self.settings,
            self.authority,
            now=self.now,
            chance=random.Random(1),
        )

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    async def _look(self, reactor: Any, server: ServerName) -> str:
        return self.key_at(server.host)

    def begin(self) -> House:
        self.certifier.start()
        self.uplink.come(self.cloud)
        return self

    def pass_s(self, seconds: float, step_s: float = 10.0) -> None:
        self.clock.pump([step_s] * round(seconds / step_s))

    @property
    def problem(self) -> str:
        state = self.certifier.state
        return state.problem.format_map(state.fields)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "end-to-end").begin()


def test_it_comes_by_itself_for_the_key_that_is_there_and_leaves_nothing_in_the_dns(house: House) -> None:
    key = house.door.tls.fingerprint
    assert house.certifier.stand is AcmeStand.WORKING
    house.pass_s(60)
    assert house.certifier.stand is AcmeStand.VALID
    assert house.door.tls.names == (house.door.address.host,)  # type: ignore[union-attr]
    assert house.door.tls.fingerprint == key
    assert house.cloud.published == {}
    state = house.certifier.state
    assert (state.order, state.order_key, state.failures) == ("", "", 0)
    assert (house.folder / "acme.json").stat().st_mode & 0o777 == 0o600


def test_it_is_renewed_at_two_thirds_of_its_life_with_the_same_key(house: House) -> None:
    house.pass_s(60)
    key, first = house.door.tls.fingerprint, house.certifier.state.got
    house.pass_s(57 * DAY_S, 3600)
    assert house.certifier.state.got == first
    house.pass_s(6 * DAY_S, 3600)
    assert house.certifier.state.got != first
    assert house.door.tls.fingerprint == key
    assert house.authority.requests("account") == 1  # the account is kept
    house.pass_s(3 * 365 * DAY_S, 6 * 3600)
    assert house.door.tls.not_after > house.now() + timedelta(days=25)
    assert 18 <= len(house.authority.orders) <= 21


def test_failures_are_repeated_more_and_more_seldom_and_the_old_certificate_goes_on(house: House) -> None:
    house.pass_s(60)
    first = house.certifier.state.got
    house.authority.refuse("order", 500, "serverInternal", "out of paper", times=1000)
    house.pass_s(63 * DAY_S, 3600)
    house.pass_s(60)
    assert house.certifier.stand is AcmeStand.PAUSED
    assert house.problem == "The authority has a fault of its own: out of paper."
    assert house.door.tls.pair.certificate_fingerprint == first
    assert house.door.ends_at is None
    before = house.authority.requests("order")
    house.pass_s(2 * DAY_S, 600)
    assert 2 <= house.authority.requests("order") - before <= 5
    house.authority.faults.clear()
    house.pass_s(DAY_S, 600)
    house.pass_s(60)
    assert house.certifier.stand is AcmeStand.VALID
    assert house.certifier.state.got != first
    assert house.certifier.state.failures == 0


def test_an_authority_that_wants_to_be_left_alone_is_even_by_a_person_and_over_a_restart(house: House) -> None:
    house.authority.refuse("order", 429, "rateLimited", "too many certificates", retry_after=str(2 * 86_400))
    house.pass_s(60)
    assert house.problem == "The authority gives no more certificates for now: too many certificates."
    before = house.authority.requests("order")
    assert house.certifier.try_now() == pytest.approx(2 * DAY_S, abs=60)
    again = House(house.folder, house.clock, house.authority).begin()
    house.certifier.stop()
    again.pass_s(1.9 * DAY_S, 600)
    assert again.authority.requests("order") == before
    again.pass_s(0.8 * DAY_S, 600)
    again.pass_s(60)
    assert again.certifier.stand is AcmeStand.VALID


@pytest.mark.parametrize("gone", ["forgotten", "closed"])
def test_an_account_that_is_no_more_is_replaced(house: House, gone: str) -> None:
    house.pass_s(60)
    old, key = house.certifier.state.account, house.certifier.state.account_key
    if gone == "forgotten":
        house.authority.accounts.clear()
    else:
        house.authority.closed.add(old)
    house.pass_s(63 * DAY_S, 3600)
    house.pass_s(60)
    assert house.certifier.stand is AcmeStand.VALID
    assert len(house.authority.orders) == 2
    assert (house.certifier.state.account_key == key) is (gone == "forgotten")


def test_other_terms_of_service_are_not_agreed_to_by_us(house: House) -> None:
    house.certifier.stop()
    house.authority.terms = "https://authority.example/terms-2"
    house.certifier.start()
    house.pass_s(60)
    assert "terms of service are other ones" in house.problem
    assert house.authority.requests("account") == 0
    house.settings = evolve(house.settings, terms=house.authority.terms)
    house.certifier.changed()
    house.pass_s(60)
    assert house.certifier.stand is AcmeStand.VALID


def test_an_authority_with_customers_wants_to_know_them(house: House) -> None:
    house.certifier.stop()
    house.authority.wants_binding = True
    house.certifier.start()
    house.pass_s(60)
    assert "wants to know its customer" in house.problem
    assert house.authority.requests("account") == 0


def test_a_cloud_that_publishes_nothing_is_named_before_anybody_is_asked(tmp_path: Path) -> None:
    house = House(tmp_path / "end-to-end")
    house.cloud.abilities = ()
    house.begin()
    house.pass_s(60)
    assert house.problem == NO_PUBLISHER_SENTENCE
    assert house.authority.asked == []


def test_what_the_cloud_could_not_publish_costs_no_attempt_at_the_authority(house: House) -> None:
    house.cloud.trouble = "not-published"
    house.pass_s(60)
    assert "could not publish" in house.problem
    assert house.authority.requests("challenge") == 0
    orders = len(house.authority.orders)
    house.cloud.trouble = None
    house.pass_s(1200)
    assert house.certifier.stand is AcmeStand.VALID
    assert len(house.authority.orders) == orders  # the order waited for us


def test_a_proof_that_was_not_seen_is_said_and_the_next_order_is_another_one(house: House) -> None:
    house.authority.proved = lambda name, value: False
    house.pass_s(60)
    assert "did not find the record that proves the name: no TXT record." in house.problem
    assert house.certifier.state.order == ""
    assert house.cloud.published == {}
    house.authority.proved = lambda name, value: True
    house.pass_s(1200)
    assert house.certifier.stand is AcmeStand.VALID
    assert len(house.authority.orders) == 2


@pytest.mark.parametrize("at", ["authz", "challenge", "finalize", "certificate"])
def test_killed_at_any_step_it_goes_on_with_the_same_order_and_key(house: House, at: str) -> None:
    """The authority never answers there again; another process finds what the first has written down."""
    never: Deferred[Reply] = Deferred()
    real = house.authority
    reached: list[str] = []

    async def stuck(method: str, url: str, body: bytes | None) -> Reply:
        if f"/{at}/" in url:
            reached.append(url)
            await never
        return await real(method, url, body)

    house.certifier.http = stuck
    house.pass_s(60)
    assert reached
    written = (house.folder / "acme.json").read_bytes()
    house.certifier.stop()
    (house.folder / "acme.json").write_bytes(written)  # as it was at the instant of the kill
    again = House(house.folder, house.clock, real).begin()
    key = again.door.tls.fingerprint
    again.pass_s(60)
    assert again.certifier.stand is AcmeStand.VALID
    assert len(real.orders) == 1
    assert again.door.tls.fingerprint == key


def test_a_brought_certificates_key_is_not_used_again(house: House) -> None:
    house.certifier.stop()
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("elsewhere.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    house.door.bring_certificate(house.authority.issue(request.sign(key, hashes.SHA256())), pem)
    brought = house.door.tls.fingerprint
    house.certifier.start()
    house.pass_s(60)
    assert house.certifier.stand is AcmeStand.VALID
    assert house.door.tls.fingerprint != brought


def test_a_domain_of_ones_own_is_what_the_certificate_is_for(house: House) -> None:
    house.pass_s(60)
    house.door.use_domain("charge.example.org")
    house.pass_s(60)
    assert house.door.tls.names == ("charge.example.org",)
    assert house.door.url == "https://charge.example.org:443/"
    assert house.certifier.stand is AcmeStand.VALID
    house.door.use_domain("")
    house.pass_s(60)
    assert house.door.tls.names == (house.door.address.host,)  # type: ignore[union-attr]


def test_switched_off_nobody_is_asked(house: House) -> None:
    house.settings = evolve(house.settings, enabled=False)
    house.certifier.changed()
    house.pass_s(3600)
    assert house.certifier.stand is AcmeStand.OFF
    assert house.authority.asked == []
    house.certifier.stop()
    house.door.stop()
    assert not house.clock.getDelayedCalls()


@pytest.mark.parametrize(
    "text",
    [b"", b"null", b"7", b"[]", b"\xff", b'{"directory": 7, "nonsense', b'{"failures": "x"}', b'{"account_key": "x"}'],
)
def test_a_broken_state_file_means_a_new_account_and_no_crash(house: House, text: bytes) -> None:
    house.pass_s(60)
    house.certifier.stop()
    (house.folder / "acme.json").write_bytes(text)
    again = House(house.folder, house.clock, house.authority).begin()
    again.pass_s(60)
    assert again.certifier.stand is AcmeStand.VALID
    assert len(house.authority.accounts) == 2


def test_that_it_ends_without_a_new_one_is_an_alarm_in_the_last_sixth_of_its_life(house: House) -> None:
    shown = ShownUplink(house.uplink, house.door)  # type: ignore[arg-type]
    house.pass_s(60)
    house.authority.refuse("order", 500, "serverInternal", "out of paper", times=10_000)
    house.pass_s(74 * DAY_S, 3600)
    assert shown.alarms == []
    house.pass_s(2 * DAY_S, 3600)
    assert house.door.ends_at == house.door.tls.not_after
    (alarm,) = shown.alarms
    assert alarm.code == "certificate-ends"
    assert "ends on 2026-05-30" in alarm.sentence.format_map(alarm.fields)
    house.door.own_certificate()
    assert shown.alarms == []


def test_our_own_certificate_is_renewed_while_the_agent_runs(tmp_path: Path) -> None:
    house = House(tmp_path / "end-to-end")
    house.settings = evolve(house.settings, enabled=False)
    house.begin()
    house.pass_s(60)
    key, ends = house.door.tls.fingerprint, house.door.tls.not_after
    house.pass_s(800 * DAY_S, DAY_S)
    assert house.door.tls.not_after > ends
    assert house.door.tls.fingerprint == key


def test_a_domain_that_still_leads_elsewhere_locks_nobody_out_but_one_that_was_ours_does(house: House) -> None:
    house.pass_s(60)
    seen = {"charge.example.org": "ab" * 32}
    house.key_at = lambda host: seen.get(host, house.door.tls.fingerprint)
    house.door.use_domain("charge.example.org")
    house.pass_s(20)
    assert (house.door.look, house.door.read_along) == ("domain-other-key", False)
    seen.clear()
    house.pass_s(120)
    assert house.door.look == "ok"
    seen["charge.example.org"] = "ab" * 32
    house.pass_s(1000)
    assert house.door.read_along
    again = House(house.folder, house.clock, house.authority)
    assert again.door.domain.name == ""
    again.door.use_domain("charge.example.org")
    assert again.door.domain.was_seen  # a restart forgets it not


def test_the_own_domain_stays_the_address_while_the_tunnel_is_down(house: House) -> None:
    house.door.use_domain("charge.example.org")
    house.pass_s(60)
    house.uplink.come(None)
    assert house.door.url == "https://charge.example.org:443/"
    house.uplink.come(house.cloud)
    assert house.door.url == "https://charge.example.org:443/"
    house.door.use_domain("other.example.org")
    house.uplink.come(None)
    assert house.door.domain.stand.value == "waiting"
