"""Everything that is said in the tunnel, version 1. Add optional arguments; never rename or reuse one.

Before login there is one verb, ``Enter``, spoken by the agent. Afterwards the cloud asks, the agent answers, and stream
boxes (one-letter names, no answer) go both ways. A value holds 65,535 bytes. The only declared error is ``Refusal``,
whose description is a code of ``reasons``.
"""

from __future__ import annotations

import re

from twisted.protocols import amp

from charging_manager.tunnel.reasons import Refusal

ALPN = b"cm-tunnel/1"
VERSIONS = (1,)

SCRAM = "SCRAM-SHA-256-PLUS"
OWN_KEY = "CM-ED25519-EXPORTER"

_PUT_OFF = re.compile(rb"cm-busy ([1-9][0-9]{0,3})\r\n")

SPLICE = "splice"
"""The capability of carrying connections whose TLS ends at the agent (``Claim``, ``Splice``)."""
DOMAIN = "domain"
"""The same for names that are not the cloud's (``ClaimDomain``)."""
PUBLISH = "publish"
"""The capability of publishing in the DNS what proves a name to an authority (``Publish``)."""

LANES = "lanes"
"""The capability of carrying such connections on connections of their own (``Dial``, ``Carry``)."""


def put_off(come_back_s: int) -> bytes:
    """What a cloud that has no time for a login writes instead of its part of TLS, before it closes."""
    return b"cm-busy %d\r\n" % come_back_s


def read_put_off(data: bytes) -> int | None:
    """The seconds after which to come back, if these first bytes of a cloud say so; None: they do not."""
    found = _PUT_OFF.fullmatch(data)
    return int(found[1]) if found else None


class Enter(amp.Command):
    """Agent to cloud, twice: the steps of a login. The first exchange carries the versions.

    SCRAM: client-first / server-first, client-final / server-final. Own key: public key / nonce, signature / empty.
    ``can`` are capabilities, words with spaces between; what only one end can is not used.
    """

    commandName = b"Enter"
    arguments = [
        (b"versions", amp.ListOf(amp.Integer())),
        (b"program", amp.Unicode()),
        (b"cloud_id", amp.Unicode()),
        (b"method", amp.Unicode()),
        (b"message", amp.String()),
        (b"can", amp.Unicode(optional=True)),
    ]
    response = [
        (b"version", amp.Integer()),
        (b"program", amp.Unicode()),
        (b"message", amp.String()),
        (b"can", amp.Unicode(optional=True)),
    ]
    errors = {Refusal: b"REFUSED"}


class Ping(amp.Command):
    """Either way, after 15 s of hearing nothing."""

    commandName = b"Ping"
    errors = {Refusal: b"REFUSED"}


class Goodbye(amp.Command):
    """Either way: this connection ends now, for this reason; come back after so many seconds."""

    commandName = b"Goodbye"
    arguments = [(b"reason", amp.Unicode()), (b"come_back_s", amp.Integer(optional=True))]
    errors = {Refusal: b"REFUSED"}


class Login(amp.Command):
    """Cloud to agent: somebody typed this secret. The agent alone knows why it refuses."""

    commandName = b"Login"
    arguments = [
        (b"secret", amp.Unicode()),
        (b"admin", amp.Boolean()),
        (b"language", amp.Unicode()),
        (b"source", amp.Unicode()),
        (b"trusted_device", amp.Boolean(optional=True)),
        (b"code", amp.Unicode(optional=True)),
        (b"browser", amp.Unicode(optional=True)),
    ]
    response = [(b"token", amp.Unicode()), (b"role", amp.Unicode()), (b"language", amp.Unicode())]
    errors = {Refusal: b"REFUSED"}


class Logout(amp.Command):
    """Cloud to agent: forget this token."""

    commandName = b"Logout"
    arguments = [(b"token", amp.Unicode())]
    errors = {Refusal: b"REFUSED"}


class Request(amp.Command):
    """Cloud to agent: one request of a logged-in browser, as fields.

    ``headers`` are lines ``name: value``. A body over 32 KiB is the stream ``body_stream`` of ``body_bytes`` bytes.
    """

    commandName = b"Request"
    arguments = [
        (b"token", amp.Unicode()),
        (b"method", amp.Unicode()),
        (b"path", amp.Unicode()),
        (b"query", amp.Unicode(optional=True)),
        (b"content_type", amp.Unicode(optional=True)),
        (b"headers", amp.Unicode(optional=True)),
        (b"body", amp.String(optional=True)),
        (b"body_stream", amp.Integer(optional=True)),
        (b"body_bytes", amp.Integer(optional=True)),
    ]
    response = [
        (b"status", amp.Integer()),
        (b"content_type", amp.Unicode()),
        (b"filename", amp.Unicode(optional=True)),
        (b"body", amp.String(optional=True)),
        (b"stream", amp.Integer(optional=True)),
    ]
    errors = {Refusal: b"REFUSED"}


class Claim(amp.Command):
    """Agent to cloud: the label that this claim proves is mine (``labels``); an empty claim gives it back.

    ``zone`` is the name, with a port if it is another, under which the cloud is reached so; empty: as it was dialled.
    """

    commandName = b"Claim"
    arguments = [(b"claim", amp.String())]
    response = [(b"zone", amp.Unicode())]
    errors = {Refusal: b"REFUSED"}


class Splice(amp.Command):
    """Cloud to agent: a browser's bytes, still encrypted, come as stream ``i``; the answer's stream goes back to it."""

    commandName = b"Splice"
    arguments = [(b"i", amp.Integer()), (b"source", amp.Unicode())]
    response = [(b"stream", amp.Integer())]
    errors = {Refusal: b"REFUSED"}


class Dial(amp.Command):
    """Cloud to agent: dial my port once for each of these tickets (``lanes``), now."""

    commandName = b"Dial"
    arguments = [(b"tickets", amp.String())]
    errors = {Refusal: b"REFUSED"}


class Carry(amp.Command):
    """Cloud to agent: on the lane of this ticket a browser's bytes, still encrypted, come and go from now on.

    Answered when the first have come; after a refusal the cloud goes on with ``Splice``.
    """

    commandName = b"Carry"
    arguments = [(b"number", amp.String()), (b"source", amp.Unicode())]
    errors = {Refusal: b"REFUSED"}


class ClaimDomain(amp.Command):
    """Agent to cloud: connections to this name are mine; an empty one gives it back.

    The DNS must say so (``labels.proof_of`` at ``_charging-manager.<domain>``); claimed again within ``lease_s``.
    """

    commandName = b"ClaimDomain"
    arguments = [(b"domain", amp.Unicode()), (b"claim", amp.String())]
    response = [(b"lease_s", amp.Integer())]
    errors = {Refusal: b"REFUSED"}


class Publish(amp.Command):
    """Agent to cloud: ``_acme-challenge.<my label>.<zone>`` shall hold this ``value``, or (``take``) need not any more.

    With a ``claim`` it is ``_acme-challenge.<labels.delegate_of(claim)>.<zone>``. ``name`` is the whole name; after
    ``settle_s`` all servers of the zone should have it.
    """

    commandName = b"Publish"
    arguments = [
        (b"value", amp.Unicode()),
        (b"claim", amp.String(optional=True)),
        (b"take", amp.Boolean(optional=True)),
    ]
    response = [(b"name", amp.Unicode()), (b"settle_s", amp.Integer())]
    errors = {Refusal: b"REFUSED"}


class StreamOpen(amp.Command):
    """Sender: stream ``i`` exists from now on. The agent's are odd, the cloud's even, each larger than the last."""

    commandName = b"o"
    arguments = [(b"i", amp.Integer())]
    requiresAnswer = False


class StreamData(amp.Command):
    """Sender: these bytes; they use up as much credit."""

    commandName = b"d"
    arguments = [(b"i", amp.Integer()), (b"p", amp.String())]
    requiresAnswer = False


class StreamCredit(amp.Command):
    """Reader: so many bytes more may be sent."""

    commandName = b"c"
    arguments = [(b"i", amp.Integer()), (b"n", amp.Integer())]
    requiresAnswer = False


class StreamEnd(amp.Command):
    """Sender: that was all. The stream exists until the reader has read it and closes it."""

    commandName = b"f"
    arguments = [(b"i", amp.Integer())]
    requiresAnswer = False


class StreamClose(amp.Command):
    """Reader: read to the end, or not interested. Sender: broken off, drop what is there."""

    commandName = b"x"
    arguments = [(b"i", amp.Integer())]
    requiresAnswer = False


class Meet(amp.Command):
    """Between two servers of one cloud, twice: whoever dialled proves itself, and has the other prove itself.

    A nonce / a nonce and a proof, a proof / nothing (``node_link``). Afterwards the one that dialled asks.
    """

    commandName = b"Meet"
    arguments = [(b"versions", amp.ListOf(amp.Integer())), (b"node", amp.Unicode()), (b"message", amp.String())]
    response = [(b"version", amp.Integer()), (b"node", amp.Unicode()), (b"message", amp.String())]
    errors = {Refusal: b"REFUSED"}


class Presence(amp.Command):
    """To the server that dialled: what has changed about the installations whose tunnels are at this one.

    ``entries`` is JSON, a list of ``{cloud_id, generation, program, label, here}``, at most 32 KiB.
    """

    commandName = b"Presence"
    arguments = [(b"entries", amp.String())]
    errors = {Refusal: b"REFUSED"}


class LoginAt(amp.Command):
    """Between servers: ``Login`` at this installation. The answer names it, so that a late one can be undone."""

    commandName = b"LoginAt"
    arguments = [(b"cloud_id", amp.Unicode()), *Login.arguments]
    response = [*Login.response, (b"cloud_id", amp.Unicode())]
    errors = {Refusal: b"REFUSED"}


class LogoutAt(amp.Command):
    """Between servers: ``Logout`` at this installation."""

    commandName = b"LogoutAt"
    arguments = [(b"cloud_id", amp.Unicode()), *Logout.arguments]
    errors = {Refusal: b"REFUSED"}


class RequestAt(amp.Command):
    """Between servers: ``Request`` at this installation."""

    commandName = b"RequestAt"
    arguments = [(b"cloud_id", amp.Unicode()), *Request.arguments]
    response = Request.response
    errors = {Refusal: b"REFUSED"}


class SpliceAt(amp.Command):
    """Between servers: ``Splice`` to this installation."""

    commandName = b"SpliceAt"
    arguments = [(b"cloud_id", amp.Unicode()), *Splice.arguments]
    response = Splice.response
    errors = {Refusal: b"REFUSED"}
