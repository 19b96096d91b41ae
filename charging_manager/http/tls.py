"""The certificate that a daemon shows: its own self-signed one, or one that was brought; swapped without a drop.

A connection keeps the context that it began with, so a new pair is one assignment and nothing drops. Twisted's own
``CertificateOptions`` is not used: it answers every client that offers an unknown ALPN name with an internal error.
"""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from charging_manager.clocks import UtcNow, utc_now
from charging_manager.errors import ConfigError
from charging_manager.http.certificates import RENEW_BEFORE, Pair, check_pair, self_signed
from charging_manager.paths import make_private
from charging_manager.storage.files import write_private

HTTP = b"http/1.1"
_RELEASE_BUFFERS = 0x10
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_GROUPS = (b"X25519MLKEM768:X25519:P-256:P-384", b"X25519:P-256:P-384")
"""For the key exchange, best first; the first list that this OpenSSL knows is taken."""


@implementer(IOpenSSLServerConnectionCreator)
class TlsDoor:
    """``<folder>/pair.pem`` holds key and chain together, so a ``kill -9`` leaves the old pair or the new one.

    ``protocols`` are the ALPN names that are answered, best first.
    """

    _log = Logger()

    def __init__(self, folder: Path, now: UtcNow = utc_now, host: str | None = None) -> None:
        self._path = make_private(folder) / "pair.pem"
        self._now = now
        self._host = host or socket.gethostname()
        self.protocols: tuple[bytes, ...] = (HTTP,)
        self._pair = self._read() or self._make()
        self._context = self._context_for(self._pair)
        self.renew()

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the public key: what other programs of this machine pin."""
        return self._pair.key_fingerprint

    @property
    def certificate_fingerprint(self) -> str:
        """Hex SHA-256 of the certificate, as browsers show it."""
        return self._pair.certificate_fingerprint

    @property
    def is_ca_signed(self) -> bool:
        """Whether somebody else vouches for it; only then is HSTS right."""
        return self._pair.is_ca_signed

    @property
    def subject(self) -> str:
        return self._pair.leaf.subject.rfc4514_string()

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts that it was made for."""
        return self._pair.hosts

    @property
    def pair(self) -> Pair:
        """What is shown now."""
        return self._pair

    @property
    def not_after(self) -> datetime:
        return self._pair.leaf.not_valid_after_utc

    def load(self, cert: bytes, key: bytes) -> None:
        """Show this pair from now on, and after a restart. Raises: ConfigError, and then the old one stays."""
        self._take(check_pair(cert, key, self._now()))
        self._log.info("a certificate of {subject} is shown from now on", subject=self.subject)

    @property
    def is_ours(self) -> bool:
        """Made here, not brought."""
        return self._pair.is_ours

    def go_by(self, host: str) -> None:
        """The certificate that we make ourselves is for this host from now on; its key stays. Raises: ConfigError."""
        self._host = host
        if self._pair.is_ours and not self._pair.names(host):
            self._take(self_signed(host, self._now(), self._pair.key))

    def look_again(self) -> bool:
        """Show what lies in the file now, if that is another pair. Raises: ConfigError, and then the old one stays."""
        found = self._read()
        if found is None or found.to_pem() == self._pair.to_pem():
            return False
        self._context, self._pair = self._context_for(found), found
        self._log.info("the certificate of {subject}, found in its file, is shown from now on", subject=self.subject)
        return True

    def make_own(self) -> None:
        """Show a certificate of our own again, with a new key. Raises: ConfigError, and then the old one stays."""
        self._take(self_signed(self._host, self._now()))

    def _take(self, pair: Pair) -> None:
        context = self._context_for(pair)
        self._store(pair)
        self._pair, self._context = pair, context

    def renew(self) -> bool:
        """Renew our own certificate, with the same key, when its end comes near; a brought one is left alone."""
        if self._now() < self.not_after - RENEW_BEFORE:
            return False
        if not self._pair.is_ours:
            self._log.warn("the certificate of {subject} ends on {end}", subject=self.subject, end=str(self.not_after))
            return False
        self._take(self_signed(self._host, self._now(), self._pair.key))
        self._log.info("the self-signed certificate was renewed until {end}", end=str(self.not_after))
        return True

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Called by Twisted for every connection."""
        return SSL.Connection(self._context, None)

    def _read(self) -> Pair | None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be read ({error.strerror}); check who owns it") from error
        try:
            return check_pair(data, data, None)
        except ConfigError as error:
            raise ConfigError(
                str(self._path), f"{error}; restore it from a backup, or remove it and bring the certificate again"
            ) from error

    def _make(self) -> Pair:
        pair = self_signed(self._host, self._now())
        self._store(pair)
        return pair

    def _store(self, pair: Pair) -> None:
        try:
            if self._path.exists():
                write_private(self._path.with_name("previous.pem"), self._path.read_bytes())
            write_private(self._path, pair.to_pem())
        except OSError as error:
            raise ConfigError(str(self._path), f"cannot be written ({error.strerror}); nothing was changed") from error

    def _context_for(self, pair: Pair) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(_CIPHERS)
        _exchange_keys_by(context)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET)
        context.set_options(SSL.OP_NO_RENEGOTIATION)
        context.set_mode(_RELEASE_BUFFERS)
        context.set_alpn_select_callback(self._choose)
        try:
            context.use_certificate(pair.leaf)
            for each in pair.chain[1:]:
                context.add_extra_chain_cert(each)
            context.use_privatekey(pair.key)
            context.check_privatekey()
        except SSL.Error as error:
            reasons = ", ".join(str(each[-1]) for each in error.args[0]) if error.args else "no reason given"
            raise ConfigError("cert", f"OpenSSL does not take it ({reasons}); get a stronger one") from error
        return context

    def _choose(self, _: SSL.Connection, offered: list[bytes]) -> Any:
        # Called through cffi: an exception here would only be printed.
        return next((name for name in self.protocols if name in offered), SSL.NO_OVERLAPPING_PROTOCOLS)


def _exchange_keys_by(context: SSL.Context) -> None:
    """Leave out the curves that nobody needs. pyOpenSSL has no name of its own for this (26.4)."""
    library: Any = SSL._lib  # type: ignore[attr-defined]
    for groups in _GROUPS:
        if library.SSL_CTX_set1_curves_list(context._context, groups) == 1:
            return
        library.ERR_clear_error()
    raise ConfigError("TLS", "this OpenSSL knows none of the curves that are needed; install the one that we came with")
