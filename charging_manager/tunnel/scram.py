"""SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) bound to the TLS certificate (RFC 5929), over the ``scramp`` library.

The cloud keeps a verifier, never a password. The costly step is the agent's; ``ScramLogin.final`` and
``make_verifier`` belong in a thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from attrs import field, frozen
from scramp import ScramClient, ScramException, ScramMechanism

from charging_manager.tunnel.bounds import MAX_ITERATIONS, MIN_ITERATIONS
from charging_manager.tunnel.commands import SCRAM
from charging_manager.tunnel.reasons import Refusal, trouble

BINDING = "tls-server-end-point"
ITERATIONS = 200_000
_SALT_BYTES = 16
_NONCE_BYTES = 24


@frozen
class ScramVerifier:
    """What the cloud keeps of an installation's password."""

    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    iterations: int

    def to_text(self) -> str:
        """For the database: ``SCRAM-SHA-256$iterations:salt$stored:server``."""
        salt, stored, server = (base64.b64encode(b).decode() for b in (self.salt, self.stored_key, self.server_key))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def from_text(cls, text: str) -> ScramVerifier:
        """What ``to_text`` wrote. Raises: ValueError."""
        try:
            mechanism, costs, keys = text.split("$")
            iterations, salt = costs.split(":")
            stored, server = keys.split(":")
            verifier = cls(
                base64.b64decode(salt, validate=True),
                base64.b64decode(stored, validate=True),
                base64.b64decode(server, validate=True),
                int(iterations),
            )
        except (ValueError, binascii.Error) as error:
            raise ValueError("not a SCRAM verifier") from error
        if mechanism != "SCRAM-SHA-256" or not MIN_ITERATIONS <= verifier.iterations <= MAX_ITERATIONS:
            raise ValueError("not a SCRAM-SHA-256 verifier of accepted cost")
        return verifier


def make_verifier(password: str, iterations: int = ITERATIONS, beside: ScramVerifier | None = None) -> ScramVerifier:
    """Takes about a tenth of a second: call it in a thread. Raises: ValueError for a password SASLprep forbids.

    ``beside`` is the verifier of the password until now, if both are to count for a while: the challenge, which comes
    before anybody knows which of them the agent has, holds salt and cost, so those must be the same.
    """
    salt = beside.salt if beside else secrets.token_bytes(_SALT_BYTES)
    iterations = beside.iterations if beside else iterations
    try:
        salt, stored, server, count = ScramMechanism("SCRAM-SHA-256").make_auth_info(
            password, iteration_count=iterations, salt=salt
        )
    except ScramException as error:
        raise ValueError("this password has characters that cannot be used") from error
    return ScramVerifier(salt, stored, server, count)


def fake_verifier(cloud_id: str, key: bytes) -> ScramVerifier:
    """For an ID that nobody has: a salt that stays the same, and keys that no password fits."""

    def derive(what: bytes, size: int) -> bytes:
        return hmac.digest(key, what + b"\0" + cloud_id.lower().encode(), hashlib.sha256)[:size]

    return ScramVerifier(derive(b"salt", _SALT_BYTES), derive(b"stored", 32), derive(b"server", 32), ITERATIONS)


class Stretched:
    """Remembers, in memory alone, what the last password was stretched to (SaltedPassword of RFC 5802, section 3).

    An agent that comes back after a restart of its cloud need not hash for a tenth of a second again.
    """

    def __init__(self) -> None:
        self._asked: tuple[bytes, bytes, int] | None = None
        self._key = b""

    def key(self, password: bytes, salt: bytes, iterations: int) -> bytes:
        """Hundreds of thousands of hashes the first time; may be called in a thread."""
        asked = (password, salt, iterations)
        if self._asked != asked:
            self._key = hashlib.pbkdf2_hmac("sha256", *asked)
            self._asked = asked
        return self._key


class ScramLogin:
    """The agent's side of one login. Raises TunnelError with the code that a person is shown."""

    def __init__(self, cloud_id: str, password: str, binding: bytes, stretched: Stretched | None = None) -> None:
        self._stretched = stretched or Stretched()
        self._binding = binding
        self._first = self._server_first = self._signature = b""
        try:
            self._client = ScramClient([SCRAM], cloud_id, password, channel_binding=(BINDING, binding))
        except ScramException as error:
            raise trouble("refused") from error

    def first(self) -> bytes:
        """The client-first message."""
        self._first = str(self._client.get_client_first()).encode()
        return self._first

    def challenged(self, server_first: bytes) -> None:
        """Check the cloud's challenge. Cheap iterations would help whoever guesses, dear ones would stall us."""
        try:
            self._client.set_server_first(server_first.decode())
        except (ScramException, UnicodeDecodeError) as error:
            raise trouble("server-not-genuine") from error
        if not MIN_ITERATIONS <= int(self._client.iterations) <= MAX_ITERATIONS:
            raise trouble("weak-login")
        self._server_first = server_first

    def final(self) -> bytes:
        """The client-final message: hundreds of thousands of hashes, unless they are remembered; for a thread.

        Source: RFC 5802, section 3 (names of the values) and 6 (channel binding).
        """
        client = self._client
        salted = self._stretched.key(bytes(client.password), bytes(client.salt), int(client.iterations))
        gs2_header, bare = self._first[: -len(self._first.split(b",", 2)[2])], self._first.split(b",", 2)[2]
        without_proof = b"c=" + base64.b64encode(gs2_header + self._binding) + b",r=" + str(client.nonce).encode()
        message = b",".join((bare, self._server_first, without_proof))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        proof = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(mine ^ theirs for mine, theirs in zip(client_key, proof, strict=True))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        return without_proof + b",p=" + base64.b64encode(proof)

    def verified(self, server_final: bytes) -> None:
        """Check the cloud's own proof: whoever has no verifier of our password cannot make it."""
        if not self._signature or not hmac.compare_digest(server_final, b"v=" + base64.b64encode(self._signature)):
            raise trouble("server-not-genuine")


class ScramCheck:
    """The cloud's side of one login. Raises Refusal: one code for all causes, but for a foreign certificate.

    Each of the verifiers counts; they have one salt and cost (``make_verifier``, ``beside``).
    """

    def __init__(self, cloud_id: str, verifiers: Sequence[ScramVerifier], binding: bytes) -> None:
        def keys_of(verifier: ScramVerifier) -> Callable[[str], tuple[bytes, bytes, bytes, int] | None]:
            def keys(name: str) -> tuple[bytes, bytes, bytes, int] | None:
                if name.lower() != cloud_id.lower():
                    return None
                return (verifier.salt, verifier.stored_key, verifier.server_key, verifier.iterations)

            return keys

        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        self._servers = [
            (each, ScramMechanism(SCRAM).make_server(keys_of(each), channel_binding=(BINDING, binding), s_nonce=nonce))
            for each in verifiers
            if (each.salt, each.iterations) == (verifiers[0].salt, verifiers[0].iterations)
        ]

    def challenge(self, client_first: bytes) -> bytes:
        """The server-first message."""
        try:
            for _, server in self._servers:
                server.set_client_first(client_first.decode())
            firsts = [str(server.get_server_first()).encode() for _, server in self._servers]
        except (ScramException, UnicodeDecodeError) as error:
            raise Refusal("refused") from error
        return firsts[0]

    def verify(self, client_final: bytes) -> tuple[bytes, ScramVerifier]:
        """The server-final message, if the proof is right and bound to this connection's certificate; and for whom."""
        refusal = Refusal("refused")
        for verifier, server in self._servers:
            try:
                server.set_client_final(client_final.decode())
                return str(server.get_server_final()).encode(), verifier
            except ScramException as error:
                foreign = getattr(error.server_error, "value", "") == "channel-bindings-dont-match"
                refusal = Refusal("man-in-the-middle" if foreign else "refused")
            except UnicodeDecodeError as error:
                raise refusal from error
        raise refusal
