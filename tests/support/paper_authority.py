"""An ACME server without sockets: it checks every signature and nonce, and fails as a test tells it to.

What a real one says is tested with Pebble; this one can be rate-limited, broken, slow and forgetful on demand, and its
time is the test's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64decode
from josepy.jwa import ES256
from josepy.jwk import JWK

from charging_manager.acme.authority import Reply
from charging_manager.acme.signing import b64

BASE = "https://authority.example"
DIRECTORY = f"{BASE}/directory"
TERMS = f"{BASE}/terms-1"
ERROR = "urn:ietf:params:acme:error:"


class PaperAuthority:
    """``acme.authority.Http``. ``proved(name, value)`` says whether the proof can be seen."""

    def __init__(self, now: Callable[[], datetime], life: timedelta = timedelta(days=90)) -> None:
        self.now, self.life = now, life
        self.terms = TERMS
        self.wants_binding = False
        self.proved: Callable[[str, str], bool] = lambda name, value: True
        self.faults: dict[str, list[Reply]] = {}
        """By the last part of a path: answers that come first, once each."""
        self.asked: list[str] = []
        self.accounts: dict[str, Any] = {}
        self.closed: set[str] = set()
        self.orders: dict[str, dict[str, Any]] = {}
        self.certificates: dict[str, bytes] = {}
        self._nonces: set[str] = set()
        self._number = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Paper authority")])

    def refuse(self, path: str, status: int, kind: str, detail: str, times: int = 1, **headers: str) -> None:
        """The next answers there are this problem."""
        body = orjson.dumps({"type": ERROR + kind, "detail": detail})
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        self.faults.setdefault(path, []).extend([Reply(status, said, body)] * times)

    def requests(self, path: str) -> int:
        return self.asked.count(path)

    # -- Http

    async def __call__(self, method: str, url: str, body: bytes | None) -> Reply:
        path = url.removeprefix(BASE).strip("/")
        kind = path.split("/")[0]
        self.asked.append(kind)
        if self.faults.get(kind):
            return self._with_nonce(self.faults[kind].pop(0))
        if path == "directory":
            return self._directory()
        if path == "nonce":
            return self._with_nonce(Reply(200, {}, b""))
        assert method == "POST"
        assert body is not None
        return self._with_nonce(self._signed(url, kind, json.loads(body)))

    def _directory(self) -> Reply:
        said = {f"new{name}": f"{BASE}/{name.lower()}" for name in ("Nonce", "Account", "Order")}
        meta = {"termsOfService": self.terms, "externalAccountRequired": self.wants_binding}
        return Reply(200, {}, orjson.dumps({**said, "meta": {**meta, "caaIdentities": ["authority.example"]}}))

    def _with_nonce(self, reply: Reply) -> Reply:
        self._number += 1
        nonce = f"nonce-{self._number}"
        self._nonces.add(nonce)
        return Reply(reply.status, {**reply.headers, "replay-nonce": nonce}, reply.body)

    def _signed(self, url: str, kind: str, jws: dict[str, str]) -> Reply:
        head = json.loads(b64decode(jws["protected"]))
        assert head["alg"] == "ES256"
        assert head["url"] == url
        if head["nonce"] not in self._nonces:
            return self._no(400, "badNonce", "not one of ours")
        self._nonces.remove(head["nonce"])
        account = head.get("kid")
        jwk = head["jwk"] if account is None else self.accounts.get(account)
        if jwk is None:
            return self._no(400, "accountDoesNotExist", "nobody of this name")
        if account in self.closed:
            return self._no(403, "unauthorized", "the account was deactivated")
        text = f"{jws['protected']}.{jws['payload']}".encode()
        assert ES256.verify(JWK.from_json(jwk).key, text, b64decode(jws["signature"]))
        payload = json.loads(b64decode(jws["payload"])) if jws["payload"] else None
        return getattr(self, f"_{kind}")(url, jwk, payload)  # type: ignore[no-any-return]

    @staticmethod
    def _no(status: int, kind: str, detail: str) -> Reply:
        return Reply(status, {}, orjson.dumps({"type": ERROR + kind, "detail": detail}))

    # -- what can be asked

    def _account(self, url: str, jwk: Any, wish: Any) -> Reply:
        assert wish["termsOfServiceAgreed"] is True
        known = next((name for name, key in self.accounts.items() if key == jwk), None)
        if known in self.closed:
            return self._no(403, "unauthorized", "the account was deactivated")
        name = known or f"{BASE}/acct/{len(self.accounts) + 1}"
        self.accounts[name] = jwk
        return Reply(200 if known else 201, {"location": name}, b"{}")

    def _order(self, url: str, jwk: Any, wish: Any) -> Reply:
        if wish is None:
            order = self.orders.get(url)
            return Reply(200, {}, orjson.dumps(order)) if order else self._no(404, "malformed", "no such order")
        number = len(self.orders) + 1
        at = f"{BASE}/order/{number}"
        self.orders[at] = {
            "status": "pending",
            "identifiers": wish["identifiers"],
            "authorizations": [f"{BASE}/authz/{number}"],
            "finalize": f"{BASE}/finalize/{number}",
        }
        return Reply(201, {"location": at}, orjson.dumps(self.orders[at]))

    def _authz(self, url: str, jwk: Any, wish: Any) -> Reply:
        number = url.rpartition("/")[2]
        order = self.orders[f"{BASE}/order/{number}"]
        status = {"pending": "pending", "invalid": "invalid"}.get(order["status"], "valid")
        challenge = {
            "type": "dns-01",
            "url": f"{BASE}/challenge/{number}",
            "token": f"token-{number}",
            "status": status,
        }
        if status == "invalid":
            challenge["error"] = {"type": ERROR + "unauthorized", "detail": "no TXT record"}
        said = {"status": status, "identifier": order["identifiers"][0], "challenges": [challenge]}
        return Reply(200, {}, orjson.dumps(said))

    def _challenge(self, url: str, jwk: Any, wish: Any) -> Reply:
        number = url.rpartition("/")[2]
        order = self.orders[f"{BASE}/order/{number}"]
        digest = hashes.Hash(hashes.SHA256())
        digest.update(f"token-{number}.{b64(JWK.from_json(jwk).thumbprint())}".encode())
        good = self.proved(order["identifiers"][0]["value"], b64(digest.finalize()))
        order["status"] = "ready" if good else "invalid"
        return Reply(200, {}, b"{}")

    def _finalize(self, url: str, jwk: Any, wish: Any) -> Reply:
        number = url.rpartition("/")[2]
        order = self.orders[f"{BASE}/order/{number}"]
        request = x509.load_der_x509_csr(b64decode(wish["csr"]))
        assert request.is_signature_valid
        order |= {"status": "valid", "certificate": f"{BASE}/certificate/{number}"}
        self.certificates[number] = self.issue(request)
        return Reply(200, {}, orjson.dumps(order))

    def _certificate(self, url: str, jwk: Any, wish: Any) -> Reply:
        return Reply(200, {}, self.certificates[url.rpartition("/")[2]])

    def issue(self, request: x509.CertificateSigningRequest) -> bytes:
        """A certificate for what is asked for, PEM."""
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        made = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._name)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now())
            .not_valid_after(self.now() + self.life)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)
