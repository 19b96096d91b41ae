"""What programs of this machine may do with the token of the runtime file."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from charging_manager.cloud.cert_client import _folders, _outcome, import_certificate
from charging_manager.cloud.machine import Machine
from charging_manager.errors import ConfigError
from charging_manager.http.certificates import check_pair, self_signed
from charging_manager.http.problems import from_config_error, problem_answer
from charging_manager.http.routes import Answer, Caller, Role
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.tls import TlsDoor
from tests.cloud.house import START_AT, CloudTestCase

TOKEN = "the runtime file's token"
HERE = Caller(Role.NOBODY, loopback=True, source="127.0.0.1")
AWAY = Caller(Role.ADMIN, loopback=False, source="192.0.2.7")


def pems(host: str) -> dict[str, str]:
    pair = self_signed(host, START_AT)
    key, marker, cert = pair.to_pem().decode().partition("-----BEGIN CERTIFICATE-----")
    return {"cert": marker + cert, "key": key}


class MachineTests(CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.tls = TlsDoor(self.folder, self.now, "cloud.example")
        self.announced: list[str] = []
        machine = Machine(
            TOKEN,
            self.tls,
            lambda: self.announced.append(self.tls.fingerprint),
            lambda: {"tunnels": 3, "tunnel_received_bytes": 1e12},
            self.ledger,
        )
        self.table = RouteTable(machine.routes(), "cloud")

    def ask(self, method: str, path: str, body: Any, caller: Caller, token: str | None = TOKEN) -> Answer:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.got(self.table.answer(RawRequest(method, path, "", data, "application/json", headers), caller))
        assert isinstance(answer, Answer)
        return answer

    def bring(self, body: Any, caller: Caller = HERE, token: str | None = TOKEN) -> Answer:
        return self.ask("PUT", "/api/v1/cloud/admin/certificate", body, caller, token)

    def test_a_new_pair_is_shown_announced_and_survives_a_restart(self) -> None:
        before = self.tls.fingerprint
        answer = self.bring(pems("brought.example"))
        self.assertEqual(answer.status, 200)
        shown = json.loads(answer.body)
        self.assertIn("brought.example", shown["subject"])
        self.assertNotEqual(shown["fingerprint"], before)
        self.assertEqual(self.announced, [shown["fingerprint"]])
        self.assertEqual(TlsDoor(self.folder, self.now, "cloud.example").fingerprint, shown["fingerprint"])
        deed = self.got(self.ledger.audit(1))[0]
        self.assertEqual(
            (deed["who"], deed["action"], deed["subject"]), ("machine", "certificate-changed", shown["fingerprint"])
        )

    def test_a_pair_that_does_not_match_changes_nothing(self) -> None:
        before = self.tls.fingerprint
        one, other = pems("one.example"), pems("other.example")
        answer = self.bring({"cert": one["cert"], "key": other["key"]})
        self.assertEqual((answer.status, json.loads(answer.body)["field"]), (422, "key"))
        self.assertEqual((self.tls.fingerprint, self.announced), (before, []))

    def test_only_this_machine_with_the_token_may_bring_one(self) -> None:
        good = pems("evil.example")
        for caller, token, status in (
            (AWAY, TOKEN, 403),
            (HERE, None, 401),
            (HERE, "", 401),
            (HERE, TOKEN + "x", 401),
            (HERE, TOKEN[:-1], 401),
        ):
            self.assertEqual(self.bring(good, caller, token).status, status)
        self.assertEqual(self.announced, [])

    def test_metrics_are_text_for_prometheus(self) -> None:
        self.got(self.ledger.did("machine", "", "x", "y"))
        answer = self.ask("GET", "/metrics", None, HERE, None)
        lines = answer.body.decode().splitlines()
        self.assertEqual(lines[:2], ["cm_cloud_tunnel_received_bytes 1000000000000", "cm_cloud_tunnels 3"])
        self.assertEqual(lines[2:], [f'cm_cloud_audit_head{{hash="{self.ledger.head.hash}"}} 1'])
        self.assertTrue(answer.content_type.startswith("text/plain"))
        self.assertEqual(self.ask("GET", "/metrics", None, AWAY, None).status, 401)
        self.assertEqual(self.ask("GET", "/metrics", None, AWAY).status, 200)


class CommandTests(CloudTestCase):
    """What the command says before it has spoken to anybody."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        for name, text in pems("cloud.example").items():
            (self.folder / name).write_text(text)

    def refusal(self, url: str, cert: str = "cert", key: str = "key") -> str:
        with self.assertRaises(ConfigError) as caught:
            import_certificate(url, self.folder / cert, self.folder / key, self.folder)
        return str(caught.exception)

    def test_addresses_that_cannot_be_are_named(self) -> None:
        for url, part in (
            ("http://localhost:4443", "https"),
            ("https://localhost:99999", "address"),
            ("https://localhost:port", "address"),
            ("https://[::1", "address"),
            ("https://somewhere.example:4443", "own machine"),
            ("ftp://localhost", "https"),
        ):
            self.assertIn(part, self.refusal(url))

    def test_files_that_cannot_be_read_are_named(self) -> None:
        (self.folder / "huge").write_bytes(b"x" * 300_000)
        (self.folder / "binary").write_bytes(b"\x80\x81")
        for name, part in (("missing", "missing"), ("huge", "too large"), ("binary", "PEM")):
            self.assertIn(part, self.refusal("https://localhost:4443", cert=name))
            self.assertIn(part, self.refusal("https://localhost:4443", key=name))

    def test_the_file_that_is_to_blame_is_named(self) -> None:
        files = {"cert": "/etc/ssl/cloud.pem", "key": "/etc/ssl/cloud.key"}
        one, other = pems("one.example"), pems("other.example")
        encrypted = load_pem_private_key(one["key"].encode(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        for cert, key, blamed, part in (
            (one["cert"], other["key"], "key", "does not belong to the certificate"),
            (one["cert"], encrypted.decode(), "key", "is encrypted"),
            (one["cert"], "junk", "key", "is not a private key"),
            (one["key"], one["cert"], "key", "name the certificate first, then the key"),
            (one["key"], one["key"], "cert", "name the certificate first, then the key"),
            ("junk", one["key"], "cert", "is not a certificate"),
        ):
            with self.assertRaises(ConfigError) as refused:
                check_pair(cert.encode(), key.encode(), START_AT)
            answer = problem_answer(from_config_error(refused.exception), "en")
            with self.assertRaises(ConfigError) as caught:
                _outcome("https://localhost:4443", files, answer.status, answer.body)
            said = str(caught.exception)
            self.assertTrue(said.startswith(files[blamed] + ": "), said)
            self.assertIn(part, said)
            self.assertNotIn("422", said)

    def test_under_sudo_the_servers_of_the_user_who_called_are_found_too(self) -> None:
        home = pwd.getpwuid(os.getuid()).pw_dir
        self.patch(os, "geteuid", lambda: 0)
        self.patch(os, "environ", {"SUDO_UID": str(os.getuid()), "XDG_STATE_HOME": "/nowhere"})
        self.assertIn(Path(home, ".local/state/charging-manager-cloud"), list(_folders(None)))
        self.assertEqual(list(_folders(self.folder)), [self.folder.absolute()])
