"""A stream under a passphrase, in the age format: what we seal, ``age -d`` opens on any machine, and the other way.

Source: C2SP age, version 1 (https://c2sp.org/age): a header with one scrypt stanza, an HMAC over it, then chunks of
64 KiB under ChaCha20-Poly1305 whose nonces count and mark the last one. So nothing can be changed, cut off, moved or
appended without being noticed, and no more than two chunks are in memory.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import secrets
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from charging_manager.errors import ChargingManagerError

INTRO = b"age-encryption.org/v1\n"
CHUNK = 65_536
WORK = 17
"""scrypt's N is 2 to this: 128 MiB and about half a second, for us and for each guess."""
MOST_WORK = 20
_TAG = 16
_STANZA = re.compile(rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n---")
_MAC = re.compile(rb" ([A-Za-z0-9+/]{43})\n")
_LONGEST_HEADER = 4096


class WrongPassphrase(ChargingManagerError):
    """What was given does not open it, or nothing was given."""


class Broken(ValueError):
    """It is not as it was sealed, or no age file with a passphrase."""


def is_sealed(head: bytes) -> bool:
    """Do these first bytes begin an age file?"""
    return head.startswith(INTRO)


class Sealing(io.RawIOBase):
    """Write clear bytes here; ``out`` gets them sealed. Only after ``finish`` it is whole."""

    def __init__(self, out: IO[bytes], passphrase: str, work: int = WORK) -> None:
        file_key, salt = secrets.token_bytes(16), secrets.token_bytes(16)
        body = ChaCha20Poly1305(_wrapping(passphrase, salt, work)).encrypt(bytes(12), file_key, None)
        header = b"%s-> scrypt %s %d\n%s\n---" % (INTRO, _text(salt), work, _text(body))
        nonce = secrets.token_bytes(16)
        out.write(b"%s %s\n%s" % (header, _text(_mac(file_key, header)), nonce))
        self._out, self._chunks = out, _Chunks(file_key, nonce)
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        while len(self._held) > CHUNK:  # one that is exactly full may be the last one
            self._out.write(self._chunks.seal(bytes(self._held[:CHUNK]), last=False))
            del self._held[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Mark the end."""
        self._out.write(self._chunks.seal(bytes(self._held), last=True))
        self._held.clear()


class Unsealing(io.RawIOBase):
    """Read clear bytes here from a sealed stream. Reading raises Broken, as soon as a chunk is not as it was."""

    def __init__(self, source: IO[bytes], passphrase: str) -> None:
        """Raises: Broken, WrongPassphrase."""
        header, salt, work, body, said = _read_header(source)
        try:
            file_key = ChaCha20Poly1305(_wrapping(passphrase, salt, work)).decrypt(bytes(12), body, None)
        except InvalidTag as error:
            raise WrongPassphrase("the passphrase does not open it") from error
        if not secrets.compare_digest(_mac(file_key, header), said):
            raise Broken("the header was changed")
        nonce = source.read(16)
        if len(nonce) < 16:
            raise Broken("it ends too early")
        self._source, self._chunks = source, _Chunks(file_key, nonce)
        self._next = source.read(CHUNK + _TAG)
        self._clear = memoryview(b"")
        self._over = False
        self._first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._clear and not self._over:
            self._open_next()
        taken = min(len(buffer), len(self._clear))
        buffer[:taken] = self._clear[:taken]
        self._clear = self._clear[taken:]
        return taken

    def _open_next(self) -> None:
        chunk = self._next
        self._next = self._source.read(CHUNK + _TAG)
        self._over = not self._next
        clear = self._chunks.open(chunk, last=self._over)
        if not clear and not self._first:
            raise Broken("an empty chunk at the end")
        self._first = False
        self._clear = memoryview(clear)


class _Chunks:
    """Seals and opens one chunk after the other (STREAM, as Hoang, Reyhanitabar, Rogaway and Vizar define it)."""

    def __init__(self, file_key: bytes, nonce: bytes) -> None:
        self._cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
        self._number = 0

    def _nonce(self, last: bool) -> bytes:
        number, self._number = self._number, self._number + 1
        return number.to_bytes(11, "big") + bytes([last])

    def seal(self, clear: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), clear, None)

    def open(self, chunk: bytes, *, last: bool) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(last), chunk, None)
        except InvalidTag as error:
            raise Broken("it was changed, or cut off") from error


def _read_header(source: IO[bytes]) -> tuple[bytes, bytes, int, bytes, bytes]:
    """The header up to its MAC, and what stands in it: salt, work, wrapped key, MAC."""
    lines = b""
    for _ in range(4):
        lines += source.readline(_LONGEST_HEADER)
    if not lines.startswith(INTRO):
        raise Broken("no age file")
    stanza = _STANZA.match(lines, len(INTRO))
    mac = _MAC.fullmatch(lines, stanza.end()) if stanza else None
    if stanza is None or mac is None:
        raise Broken("no age file with a passphrase alone")
    if int(stanza[2]) > MOST_WORK:
        raise Broken("it asks for more work than is done here")
    return lines[: stanza.end()], _bytes(stanza[1]), int(stanza[2]), _bytes(stanza[3]), _bytes(mac[1])


def _wrapping(passphrase: str, salt: bytes, work: int) -> bytes:
    return hashlib.scrypt(
        passphrase.encode("utf-8"),
        salt=b"age-encryption.org/v1/scrypt" + salt,
        n=1 << work,
        r=8,
        p=1,
        dklen=32,
        maxmem=(1 << work) * 8 * 128 + (1 << 20),
    )


def _derived(file_key: bytes, salt: bytes, use: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, use).derive(file_key)


def _mac(file_key: bytes, header: bytes) -> bytes:
    mac = hmac.HMAC(_derived(file_key, b"", b"header"), hashes.SHA256())
    mac.update(header)
    return mac.finalize()


def _text(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise Broken("no age file") from error
    if _text(data) != text:
        raise Broken("no age file")  # two ways to write the same would let a header be changed unnoticed
    return data
