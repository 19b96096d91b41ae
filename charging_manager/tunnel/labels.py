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

CHALLENGE, PROOF = "_acme-challenge.", "_charging-manager."
"""Before a name: where an authority looks for its proof, and where the cloud looks for whose the name is."""

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


def make_domain_claim(secret: bytes, server: str) -> bytes:
    """What this installation claims a domain of its keeper's with; made from another secret than the label's."""
    return hmac.digest(secret, b"cm-domain-claim/1 " + server.encode(), "sha256")


def label_of(claim: bytes) -> str:
    """The label that this claim proves."""
    return "cm-" + base64.b32encode(hashlib.sha256(b"cm-label/1 " + claim).digest()[:10]).decode().lower()


def delegate_of(claim: bytes) -> str:
    """The label in the cloud's zone to which the challenges of a domain of one's own may be delegated by a CNAME.

    It is not the one at which the installation is reached, and nobody learns that one from it.
    """
    return "cd-" + base64.b32encode(hashlib.sha256(b"cm-delegate/1 " + claim).digest()[:10]).decode().lower()


def proof_of(claim: bytes, domain: str) -> str:
    """What stands in the DNS of a domain that is to lead to whoever has this claim."""
    digest = hashlib.sha256(b"cm-domain/1 " + domain.encode() + b" " + claim).digest()
    return "cm-domain=" + base64.b32encode(digest[:20]).decode().lower()


def label_in(name: str) -> str | None:
    """The label that a server name asks for, whatever stands behind it; None: it is no such name."""
    first, _, rest = name.partition(".")
    return first if rest and LABEL.fullmatch(first) else None
