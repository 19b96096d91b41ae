"""Certificates of an authority: a real cloud, real agents, a real DNS server (BIND), a real ACME server (Pebble)."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
from attrs import define
from cryptography import x509

from tests.support.api import Browser
from tests.support.authority import TestAuthority, authority
from tests.support.browser import browser
from tests.support.nameserver import KEY_NAME, NameServer, make_key, name_server
from tests.support.processes import Running, daemon, eventually, free_port
from tests.support.sites import PASSWORD, set_password
from tests.support.wiretap import in_memory

pytestmark = [pytest.mark.e2e, pytest.mark.needs("named", "pebble")]

SHOTS = os.environ.get("CM_SHOTS")
AT = "/api/v1/config/cloud/end-to-end"
ZONE, OWN_ZONE, LOCKED_ZONE = "e2e.localhost", "own.localhost", "locked.localhost"


@define
class Place:
    """An agent with end-to-end mode on, and its admin at the site."""

    agent: Running
    port: int
    site: Browser
    data: Path

    def shown(self) -> Any:
        return self.site.get(AT)

    @property
    def host(self) -> str:
        return str(self.shown()["url"]).split("/")[2].partition(":")[0]

    @property
    def host_at_cloud(self) -> str:
        """Under the label, whatever other address there is."""
        label = str(self.shown()["code"]).rpartition("-")[0]
        return f"{label}.{ZONE}"

    def acme(self) -> Any:
        return self.shown()["acme"]

    def agree(self, directory: str, **more: object) -> Any:
        """As the page does it: read the terms, agree to them, ask for a certificate."""
        terms = self.site.post(f"{AT}/terms", {"directory": directory})["terms"]
        assert terms
        return self.site.put(f"{AT}/acme", {"directory": directory, "terms": terms, **more})

    def has_certificate(self) -> Any:
        return eventually(lambda: self.acme()["state"] == "valid" and self.shown())

    def fails(self, part: str) -> Any:
        """The next attempt ends with such a sentence."""
        found = eventually(lambda: (at := self.acme()) and at["problem"] and at["state"] != "working" and at)
        assert part in found["problem"], found
        return found

    def again(self) -> None:
        self.site.post(f"{AT}/acme/now", {})


@define
class World:
    """What is there for all tests of this module."""

    folder: Path
    names: NameServer
    pebble: TestAuthority
    cloud: Running
    cloud_port: int
    keeper: Browser

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """An agent that stands at the cloud by this Cloud ID; the second time it is the same one."""
        data = self.folder / name
        if not data.exists():
            set_password(data)
            (data / "charging-manager.toml").write_text(f'[agent]\nacme_ca = "{self.pebble.ca}"\n')
        with daemon("cm-agent", data) as (agent, port):
            site = Browser(port, secure=True)
            site.post("/api/v1/login", {"password": PASSWORD})
            if not site.get("/api/v1/config/cloud")["enabled"]:
                password = secrets.token_urlsafe(15)
                known = {"cloud_id": name, "password": password}
                self.keeper.post("/api/v1/cloud/admin/installations", known)
                site.put("/api/v1/config/cloud", {"enabled": True, "server": f"localhost:{self.cloud_port}", **known})
                site.put(AT, {"enabled": True})
            eventually(lambda: site.get(AT)["state"] == "open")
            yield Place(agent, port, site, data)

    def client(self, host: str, root: str | None = None) -> tuple[int, x509.Certificate]:
        """Status of the login page at https://<host>/, and the certificate, for one who trusts the authority alone."""
        context = ssl.create_default_context(cadata=self.pebble.root() if root is None else root)
        connection = http.client.HTTPSConnection(host, self.cloud_port, timeout=15, context=context)
        connection._create_connection = lambda at, *rest: socket.create_connection(  # type: ignore[attr-defined]
            ("127.0.0.1", at[1]), *rest
        )
        try:
            connection.request("GET", "/ui/en/login.htm")
            pem = ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(binary_form=True))  # type: ignore[union-attr]
            return connection.getresponse().status, x509.load_pem_x509_certificate(pem.encode())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("certificates")
    folder.chmod(0o755)
    set_password(folder / "cloud")
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(name_server(folder / "dns", ZONE, OWN_ZONE, locked=LOCKED_ZONE))
        pebble = stack.enter_context(authority(folder / "pebble", names.address))
        port = free_port()
        options = (
            *("--zone", f"{ZONE}:{port}", "--dns-server", names.address, "--dns-key-file", str(names.key)),
            *("--dns-settle-s", "0", "--dns-resolver", names.address),
        )
        cloud, _ = stack.enter_context(daemon("cm-cloud", folder / "cloud", *options, port=port))
        keeper = Browser(port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        yield World(folder, names, pebble, cloud, port, keeper)


@pytest.fixture(scope="module")
def garage(world: World) -> Iterator[Place]:
    with world.place("garage") as place:
        yield place


def test_a_certificate_comes_through_the_cloud_and_a_browser_is_content(world: World, garage: Place) -> None:
    before = garage.shown()
    assert (before["source"], before["acme"]["state"]) == ("own", "off")
    with pytest.raises(ssl.SSLCertVerificationError):
        world.client(garage.host)
    garage.agree(world.pebble.directory)
    shown = garage.has_certificate()
    status, certificate = world.client(garage.host)
    assert status == 200
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [garage.host]
    assert shown["key_fingerprint"] == before["key_fingerprint"]  # written down, or in a code: it goes on being right
    assert shown["code"] == before["code"]
    assert "could obtain another" in shown["promise"]
    assert shown["check"]["result"] in ("ok", "unknown")
    due = datetime.fromisoformat(shown["acme"]["renew_at"])
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert 0.6 < (due - certificate.not_valid_before_utc) / life < 0.7
    eventually(lambda: world.names.texts(f"_acme-challenge.{garage.host}") == [])  # it was taken away
    for name in ("acme.json", "pair.pem"):
        assert oct((garage.data / "agent/end-to-end" / name).stat().st_mode)[-3:] == "600"
    secret = (garage.data / "agent/end-to-end/pair.pem").read_bytes().split(b"-----BEGIN CERT")[0]
    everywhere = [
        one.read_bytes() for one in world.folder.rglob("*") if one.is_file() and garage.data not in one.parents
    ]
    canary = secret.splitlines()[1]
    assert not any(canary in one for one in everywhere)
    account = str(json.loads((garage.data / "agent/end-to-end/acme.json").read_text())["account_key"]).splitlines()[1]
    canaries = (canary.decode(), account, garage.host)
    assert in_memory(garage.agent.pid, *canaries) >= {account, garage.host}  # the search finds what is there
    assert in_memory(world.cloud.pid, *canaries) == {garage.host}


def test_a_killed_agent_goes_on_with_its_order(world: World) -> None:
    """Killed while the DNS server is down, with the order made and the proof not published."""
    with world.place("killed") as place:
        world.names.stop()
        try:
            place.agree(world.pebble.directory)
            place.fails("could not publish")
            assert "does not answer" in world.cloud.wait_line("could not publish a DNS entry (killed)")
            state = (place.data / "agent/end-to-end/acme.json").read_text()
            assert '"order":"https://' in state
            place.again()
            place.agent.stop(SIGKILL)
        finally:
            world.names.start()
    orders = world.pebble.process.output.count("Added order") if world.pebble.process else 0
    with world.place("killed") as place:
        place.again()
        place.has_certificate()
        assert world.client(place.host)[0] == 200
        assert world.pebble.process
        assert orders == world.pebble.process.output.count("Added order")


def test_it_is_renewed_for_the_same_key_while_connections_go_on(world: World) -> None:
    """A certificate of 24 seconds; the authority was started anew meanwhile and has forgotten every account."""
    world.pebble.stop()
    world.pebble.start(certificateValidityPeriod=24)
    try:
        with world.place("short") as place:
            place.agree(world.pebble.directory)
            place.has_certificate()
            _, first = world.client(place.host)
            account = place.acme()["account"]
            world.pebble.stop()
            world.pebble.start()
            second = eventually(
                lambda: (found := world.client(place.host)[1]) and found != first and found, within_s=90
            )
            assert second.public_key() == first.public_key()
            assert second.not_valid_before_utc - first.not_valid_before_utc >= timedelta(seconds=12)
            assert place.acme()["problem"] is None
            assert place.acme()["account"] != account or world.pebble.process
    finally:
        world.pebble.stop()
        world.pebble.config.pop("certificateValidityPeriod")
        world.pebble.start()


def test_an_own_domain_leads_to_who_can_prove_it_and_nobody_takes_it(world: World, garage: Place) -> None:
    domain = f"charge.{OWN_ZONE}"
    garage.agree(world.pebble.directory)
    with world.place("thief") as thief:
        entered = garage.site.put(f"{AT}/domain", {"domain": domain.upper()})["domain"]
        assert (entered["name"], entered["state"]) == (domain, "unproven")
        with pytest.raises(ssl.SSLCertVerificationError):
            world.client(domain)  # the cloud's own certificate answers: nobody was given the name
        proof = entered["proof"]
        world.names.update(f"zone {OWN_ZONE}", f'update add {proof["name"]} 1 TXT "{proof["value"]}"')
        assert garage.site.post(f"{AT}/domain/check", {})["domain"]["state"] == "held"

        stolen = thief.site.put(f"{AT}/domain", {"domain": domain})["domain"]
        assert stolen["state"] == "unproven"  # the record is there for all to read, and is of no use to him
        assert stolen["proof"]["value"] != proof["value"]
        for own in (f"charge.{ZONE}", ZONE, garage.host_at_cloud):
            assert thief.site.put(f"{AT}/domain", {"domain": own})["domain"]["state"] == "forbidden", own
        thief.site.put(f"{AT}/domain", {"domain": domain})
        world.names.update(f"zone {OWN_ZONE}", f'update add {proof["name"]} 1 TXT "{stolen["proof"]["value"]}"')
        assert thief.site.post(f"{AT}/domain/check", {})["domain"]["state"] == "taken"

        shown = garage.shown()
        assert shown["url"] == f"https://{domain}:{world.cloud_port}/"
        garage.fails("did not find the record")  # nothing leads to the cloud's zone yet
        alias = shown["domain"]["challenge"]
        world.names.update(f"zone {OWN_ZONE}", f"update add {alias['name']} 1 CNAME {alias['value']}.")
        assert garage.host_at_cloud.partition(".")[0] not in str(shown["domain"])  # the label is told to nobody
        garage.again()
        garage.has_certificate()
        status, certificate = world.client(domain)
        assert status == 200
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [domain]
        assert "CAA record" in garage.shown()["promise"]

        world.names.update(f"zone {OWN_ZONE}", f'update delete {proof["name"]} TXT "{proof["value"]}"')
        assert thief.site.post(f"{AT}/domain/check", {})["domain"]["state"] == "held"  # now it is his
        assert garage.site.post(f"{AT}/domain/check", {})["domain"]["state"] == "unproven"
        with pytest.raises(ssl.SSLCertVerificationError):
            world.client(domain)
        thief.site.put(f"{AT}/domain", {"domain": ""})
    world.names.update(f"zone {OWN_ZONE}", f"update delete {alias['name']} CNAME")
    garage.site.put(f"{AT}/domain", {"domain": ""})
    assert garage.has_certificate()["url"].startswith("https://cm-")


def test_the_keepers_own_dns_server_takes_the_proof_and_a_wrong_key_is_named(world: World, tmp_path: Path) -> None:
    domain = f"self.{OWN_ZONE}"
    right = world.names.key.read_text().split('"')[3]
    wrong = make_key(tmp_path / "wrong").read_text().split('"')[3]
    with world.place("self") as place:
        place.site.put(f"{AT}/domain", {"domain": domain})
        updates = {"dns_server": world.names.address, "dns_zone": OWN_ZONE, "key_name": KEY_NAME, "settle_s": 0}
        foreign = {**updates, "dns_zone": "elsewhere.example", "key_secret": right}
        terms = {"directory": world.pebble.directory, "terms": "x"}
        refused = place.site.call("PUT", f"{AT}/acme", {**terms, **foreign})
        assert (refused.status, refused.json["field"]) == (422, "dns_zone")
        place.agree(world.pebble.directory, **updates, key_secret=wrong)
        place.fails("does not accept the TSIG key")
        place.site.put(f"{AT}/domain", {"domain": f"self.{LOCKED_ZONE}"})
        place.agree(world.pebble.directory, **{**updates, "dns_zone": LOCKED_ZONE}, key_secret=right)
        place.fails("refuses (REFUSED)")
        place.site.put(f"{AT}/domain", {"domain": domain})
        place.agree(world.pebble.directory, **updates, key_secret=right)
        place.has_certificate()
        assert world.names.texts(f"_acme-challenge.{domain}") == []
        shown = str(place.shown()) + place.agent.output + str(place.site.get("/api/v1/log"))
        assert right not in shown
        assert wrong not in shown
        assert place.acme()["key_secret_set"]


def test_an_authority_that_knows_its_customers_is_told_who_we_are(world: World) -> None:
    world.pebble.stop()
    keys = {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}
    world.pebble.start(externalAccountBindingRequired=True, externalAccountMACKeys=keys)
    try:
        with world.place("customer") as place:
            directory = world.pebble.directory
            assert place.site.post(f"{AT}/terms", {"directory": directory})["wants_binding"]
            place.agree(directory)
            place.fails("wants to know its customer")
            place.agree(directory, customer="kid-1", customer_key=keys["kid-1"][::-1])
            place.fails("does not accept the customer's ID and key")
            place.agree(directory, customer="kid-1", customer_key=keys["kid-1"])
            place.has_certificate()
            assert keys["kid-1"] not in str(place.shown())
    finally:
        world.pebble.stop()
        world.pebble.start(externalAccountBindingRequired=False)


def _shoot(page: Any, name: str) -> None:
    if SHOTS:
        for scheme in ("light", "dark"):
            page.colours(scheme)
            height = page.js("return document.documentElement.scrollHeight")
            page.size(page.js("return innerWidth"), min(int(height) + 200, 6000))
            page.driver.save_screenshot(f"{SHOTS}/{name}-{scheme}.png")
        page.colours("light")


@pytest.mark.needs("chromium")
def test_a_keeper_gets_a_certificate_and_a_domain_on_the_page(world: World) -> None:
    domain = f"page.{OWN_ZONE}"
    with world.place("page") as place, browser() as page:
        here = f"http://localhost:{place.port}/ui"
        page.open(f"{here}/en/login.htm")
        page.fill("Admin password", PASSWORD)
        page.press("Log in")
        page.drawn("overview.htm")
        page.open(f"{here}/en/remote.htm")
        page.until(lambda: page.all("[data-check]"))
        page.find("details.certificate summary").click()
        page.press_choice("details.certificate", "Of an authority, by itself (ACME)")
        page.choose("Authority", "other")
        page.fill("Address of its ACME directory", world.pebble.directory)
        page.press("Read the terms of service")
        page.until(lambda: "Do%20what" in page.text("details.certificate"))
        assert not page.find("details.certificate .button.main").is_enabled()  # nobody agrees by himself
        page.tick("I have read the authority's terms of service, and agree to them.")
        _shoot(page, "acme-form")
        page.press("Get a certificate")
        page.until(lambda: page.all("[data-acme=valid]"))
        assert "could obtain another" in page.text("[data-promise=acme]")
        assert world.client(place.host)[0] == 200

        page.press("Use a domain of your own") if not page.has_field("Domain") else None
        page.js("for (const one of document.querySelectorAll('details')) one.open = true")
        page.fill("Domain", domain)
        page.press("Use this domain")
        page.until(lambda: page.all("[data-domain=unproven]"))
        proof = place.shown()["domain"]["proof"]
        assert page.field("Name of the TXT entry").get_attribute("value") == proof["name"]
        assert page.field("Value of the TXT entry").get_attribute("value") == proof["value"]
        alias = (page.field("Name of the CNAME entry"), page.field("Where it leads"))
        name, target = (str(one.get_attribute("value")) for one in alias)
        page.until(lambda: "Check the DNS entries" in page.text("[data-acme]"))
        _shoot(page, "domain-unproven")
        page.size(390)
        assert page.sideways() == 0
        _shoot(page, "domain-phone")
        page.size(1280)
        world.names.update(
            f"zone {OWN_ZONE}",
            f'update add {proof["name"]} 1 TXT "{proof["value"]}"',
            f"update add {name} 1 CNAME {target}.",
        )
        page.press("Ask again")
        page.until(lambda: page.all("[data-domain=held]"))
        page.press("Try now")
        page.until(lambda: page.all("[data-acme=valid]"))
        assert (
            page.field("Address of this installation").get_attribute("value") == f"https://{domain}:{world.cloud_port}/"
        )
        assert world.client(domain)[0] == 200
        _shoot(page, "domain-held")
        for language in ("fr", "de") if SHOTS else ():
            page.open(f"{here}/{language}/remote.htm")
            page.until(lambda: page.all("[data-domain=held]"))
            assert page.sideways() == 0
            _shoot(page, f"domain-held-{language}")
        assert page.complaints() == []


def test_a_cloud_that_may_not_change_its_zone_says_so_in_its_log_and_at_the_agent(world: World, tmp_path: Path) -> None:
    """The certificate that was there goes on; the cloud's log tells the operator what to do, without a secret."""
    key = make_key(tmp_path / "other")
    secret = key.read_text().split('"')[3]
    bare = tmp_path / "bare"
    bare.write_text(secret)
    bare.chmod(0o600)
    port = free_port()
    options = (
        *("--zone", f"{ZONE}:{port}", "--dns-server", world.names.address),
        *("--dns-key-file", str(bare), "--dns-key-name", KEY_NAME),
    )
    set_password(tmp_path / "cloud")
    with daemon("cm-cloud", tmp_path / "cloud", *options, port=port) as (cloud, _):
        keeper = Browser(port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        other = World(tmp_path, world.names, world.pebble, cloud, port, keeper)
        with other.place("poor") as place:
            place.agree(world.pebble.directory)
            place.fails("could not publish")
            assert place.shown()["own_certificate"]
        said = cloud.wait_line("could not publish a DNS entry (poor)")
        assert "does not accept the TSIG key" in said
        assert secret not in cloud.output


def test_a_cloud_without_dns_settings_and_an_authority_that_is_none_are_named(world: World, tmp_path: Path) -> None:
    port = free_port()
    set_password(tmp_path / "cloud")
    with daemon("cm-cloud", tmp_path / "cloud", "--zone", f"{ZONE}:{port}", port=port) as (cloud, _):
        keeper = Browser(port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        other = World(tmp_path, world.names, world.pebble, cloud, port, keeper)
        with other.place("poor") as place:
            place.agree(world.pebble.directory)
            place.fails("publishes no DNS entries")
            assert "publishes no DNS entries" in place.acme()["hint"]
            for directory, part in (
                (f"https://localhost:{port}/", "cannot be reached"),  # not of an authority that we trust
                (f"https://localhost:{world.pebble.port}/nowhere", "does not speak ACME"),
                ("https://127.0.0.1:1/dir", "cannot be reached"),
                ("http://localhost/dir", "begins with https"),
            ):
                refused = place.site.call("POST", f"{AT}/terms", {"directory": directory})
                assert refused.status in (422, 502), directory
                assert part in refused.json["detail"], directory
