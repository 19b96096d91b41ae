"""The name of an installation in end-to-end mode: ``<label>.<zone>``, where the zone is the cloud's and the label ours.

The label is the hash of a claim, and the claim a secret of the agent's, another one for each cloud server. So labels
are random, a cloud needs no list of them, an agent has the same one after every reconnection, and nobody takes another
one's: whoever knows a label does not know its claim.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

CLAIM_BYTES = 32
LABEL = re.compile(r"cm-[a-z2-7]{16}")
"""80 bits in base32, in a form that no server's own name has."""

_CODE = re.compile(rf"({LABEL.pattern})-([a-z2-7]{{52}})")


def make_code(label: str, key_fingerprint: str) -> str:
    """What a person takes along from the site: the label, and the key (hex SHA-256) that must answer there."""
    return f"{label}-{base64.b32encode(bytes.fromhex(key_fingerprint)).decode().rstrip('=').lower()}"


def read_code(text: str) -> tuple[str, str] | None:
    """Label and key fingerprint of a code, however it was copied; None: it is no code."""
    match = _CODE.fullmatch("".join(text.split()).lower())
    if match is None:
        return None
    return match[1], base64.b32decode(match[2].upper() + "====").hex()


def make_claim(secret: bytes, server: str) -> bytes:
    """What this installation claims its label at that cloud server with."""
    return hmac.digest(secret, b"cm-claim/1 " + server.encode(), "sha256")


def label_of(claim: bytes) -> str:
    """The label that this claim proves."""
    return "cm-" + base64.b32encode(hashlib.sha256(b"cm-label/1 " + claim).digest()[:10]).decode().lower()


def label_in(name: str) -> str | None:
    """The label that a server name asks for, whatever stands behind it; None: it is no such name."""
    first, _, rest = name.partition(".")
    return first if rest and LABEL.fullmatch(first) else None
