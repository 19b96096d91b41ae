"""Codes of RFC 6238 count once; recovery codes too; what is lost on the way is nothing."""

from __future__ import annotations

import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from charging_manager.http.second_factor import Kept, SecondFactor, _step_of

RFC_SECRET = b"12345678901234567890"


class Site:
    """A folder with a second factor, and somebody's phone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.factor = self.again()
        self.secret = b""
        self.recovery: list[str] = []

    def again(self) -> SecondFactor:
        """As another daemon, or after a restart."""
        return SecondFactor(self.folder / "admin.totp", self.clock, self.now, execute)

    def now(self) -> datetime:
        return datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=self.clock.seconds())

    def code(self, ahead_s: float = 0.0) -> str:
        totp = TOTP(self.secret, 6, SHA1(), 30)
        return totp.generate(int(self.now().timestamp() + ahead_s)).decode()

    def enrol(self) -> None:
        self.secret = base64.b32decode(self.factor.propose().text)
        codes = done(self.factor.confirm(self.code()))
        assert codes is not None
        self.recovery = codes
        self.clock.advance(30)

    def fits(self, code: str, factor: SecondFactor | None = None) -> bool:
        return done((factor or self.factor).fits(code))


def done(coroutine):  # type: ignore[no-untyped-def]
    held: list[object] = []
    Deferred.fromCoroutine(coroutine).addBoth(held.append)
    assert len(held) == 1
    assert not hasattr(held[0], "raiseException"), held[0]
    return held[0]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.enrol()
    return site


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(at: int, code: str) -> None:
    assert _step_of(RFC_SECRET, code, at // 30) == at // 30
    assert _step_of(RFC_SECRET, code, at // 30 + 1) == at // 30
    assert _step_of(RFC_SECRET, code, at // 30 - 1) == at // 30
    assert _step_of(RFC_SECRET, code, at // 30 + 2) is None
    assert _step_of(RFC_SECRET, code, at // 30, later_than=at // 30) is None


def test_it_is_off_until_the_first_code_was_seen(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.secret = base64.b32decode(site.factor.propose().text)
    assert not site.factor.on and not site.fits(site.code())
    assert done(site.factor.confirm("000000" if site.code() != "000000" else "000001")) is None
    assert not site.factor.on
    site.enrol()
    assert site.factor.on and site.factor.recovery_left == 10 == len(set(site.recovery))
    assert stat.S_IMODE((tmp_path / "admin.totp").stat().st_mode) == 0o600


def test_a_proposal_that_waited_too_long_is_over(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.secret = base64.b32decode(site.factor.propose().text)
    site.clock.advance(901)
    assert not site.factor.is_proposed and done(site.factor.confirm(site.code())) is None


def test_a_code_counts_once_also_after_a_restart_and_at_the_other_daemon(site: Site) -> None:
    code = site.code()
    other = site.again()
    assert site.fits(code)
    assert not site.fits(code) and not site.fits(code, other) and not site.fits(code, site.again())
    assert not site.fits(site.code(-30))  # nor does an older one that was not used
    assert site.fits(site.code(30), other)


def test_the_code_of_the_enrolment_is_used_up(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.secret = base64.b32decode(site.factor.propose().text)
    code = site.code()
    assert done(site.factor.confirm(code)) is not None
    assert not site.fits(code)


def test_codes_of_other_times_and_nonsense_do_not_fit(site: Site) -> None:
    for code in (site.code(90), site.code(-90), "", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "\x00" * 6, "9" * 10_000):
        assert not site.fits(code)
    assert site.fits(" ".join(site.code()[at : at + 3] for at in (0, 3)))


def test_a_code_beside_a_wrong_password_is_not_used_up(site: Site) -> None:
    code = site.code()
    assert done(site.factor.fits(code, use=False)) is False
    assert site.fits(code)


def test_a_recovery_code_counts_once_however_it_is_typed(site: Site) -> None:
    first, second = site.recovery[:2]
    assert site.fits(first.lower().replace("-", " ").replace("0", "o"))
    assert not site.fits(first) and not site.fits(first, site.again())
    assert site.fits(second, site.again()) and site.factor.recovery_left == 8
    renewed = done(site.factor.new_recovery_codes())
    assert not site.fits(site.recovery[2]) and site.fits(renewed[0]) and site.factor.recovery_left == 9


def test_recovery_codes_are_not_stored(site: Site) -> None:
    held = (site.folder / "admin.totp").read_text()
    assert all(code not in held and code.replace("-", "") not in held for code in site.recovery)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"secret": 7}', b'{"secret": "!", "last_step": 0}'])
def test_a_damaged_file_lets_nobody_in_until_it_is_removed(site: Site, content: bytes) -> None:
    (site.folder / "admin.totp").write_bytes(content)
    assert site.factor.on and not site.fits(site.code()) and not site.fits(site.recovery[0])
    assert site.factor.remove() and not site.factor.on and not site.factor.remove()


def test_what_another_program_switches_is_noticed_and_what_we_switch_is_not_told_twice(site: Site) -> None:
    seen: list[bool] = []
    site.factor.watch(seen.append)
    site.clock.advance(1)
    site.again().remove()
    site.clock.advance(1)
    site.enrol()
    done(site.factor.off())
    site.clock.advance(1)
    site.factor.stop()
    assert seen == [False]


def test_the_address_for_the_camera_says_all_that_an_authenticator_needs(site: Site) -> None:
    proposal = site.factor.propose()
    uri = urlsplit(proposal.uri("Bäckerei & Co"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp") and "B%C3%A4ckerei%20%26%20Co" in uri.path
    query = parse_qs(uri.query)
    assert query == {"secret": [proposal.text], "issuer": ["Charging Manager"], "digits": ["6"], "period": ["30"]}
    assert "secret" not in repr(proposal)


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_file_makes_it_fail_otherwise_than_by_saying_so(data: bytes) -> None:
    try:
        kept = Kept.from_bytes(data)
    except ValueError:
        return
    assert Kept.from_bytes(kept.to_bytes()) == kept
