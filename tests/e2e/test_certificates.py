"""Certificates of an authority: a real cloud, real agents, a real DNS server (BIND), a real ACME server (Pebble)."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from cryptography import x509

from tests.support.api import Browser
from tests.support.authority import TestAuthority, authority
from tests.support.nameserver import NameServer, name_server
from tests.support.processes import Running, daemon, eventually, free_port
from tests.support.sites import PASSWORD, set_password

pytestmark = [pytest.mark.e2e, pytest.mark.needs("named", "pebble")]

AT = "/api/v1/config/cloud/end-to-end"
ZONE, OWN_ZONE = "e2e.localhost", "own.localhost"


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
        names = stack.enter_context(name_server(folder / "dns", ZONE, OWN_ZONE))
        pebble = stack.enter_context(authority(folder / "pebble", names.address))
        port = free_port()
        options = (
            *("--zone", f"{ZONE}:{port}", "--dns-server", names.address, "--dns-key-file", str(names.key)),
            *("--dns-settle-s", "0", "--dns-resolver", names.address),
        )
        stack.enter_context(daemon("cm-cloud", folder / "cloud", *options, port=port))
        keeper = Browser(port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        yield World(folder, names, pebble, port, keeper)


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
    assert not any(secret.splitlines()[1] in one for one in everywhere)
