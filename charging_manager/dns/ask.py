"""One question to a DNS server, over TCP: nobody but who is on the way can answer in its place, and nothing is cut."""

from __future__ import annotations

from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.tsig
from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from charging_manager.errors import ChargingManagerError, ConfigError

PORT = 53
CONNECT_WITHIN_S = 5.0
ANSWER_WITHIN_S = 10.0

SENTENCES: Final[dict[str, str]] = {
    "dns-unreachable": "The DNS server {server} does not answer; is it running, and reachable from here over TCP?",
    "dns-timeout": "The DNS server {server} did not answer in time.",
    "dns-nonsense": "What answers at {server} is no DNS server, or one that does not know the TSIG key.",
    "dns-key": "The DNS server {server} does not accept the TSIG key; check its name, its secret and its algorithm.",
    "dns-clock": "The DNS server {server} says that the clock here or there is wrong.",
    "dns-refused": "The DNS server {server} refuses ({answer}); does the zone allow updates with this TSIG key?",
    "dns-failed": "The DNS server {server} could not do it ({answer}).",
    "dns-no-resolver": "This machine has no DNS server to ask (/etc/resolv.conf).",
}


class DnsError(ChargingManagerError):
    """No answer that can be used; ``code`` is one of ``SENTENCES``."""

    def __init__(self, code: str, **fields: object) -> None:
        self.code, self.template, self.fields = code, SENTENCES[code], fields
        super().__init__(self.template.format_map(fields))


@frozen
class DnsServer:
    """A host name or address, and a port."""

    host: str
    port: int = PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORT else f"{host}:{self.port}"


def parse_dns_server(text: str, where: str) -> DnsServer:
    """``host``, ``host:port``, ``[address]:port``. Raises: ConfigError at ``where``."""
    text = text.strip().lower()
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or text.endswith("]"):
        host, port = text, str(PORT)
    host = host.removeprefix("[").removesuffix("]")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    if not host or not 0 < number < 65536 or any(not (c.isascii() and (c.isalnum() or c in "-.:_")) for c in host):
        raise ConfigError(where, "Enter the DNS server as a name or address, with a port if it is not 53.")
    return DnsServer(host, number)


async def ask(reactor: Any, server: DnsServer, question: dns.message.Message) -> dns.message.Message:
    """The server's answer, whatever its code; one to a signed question is signed. Raises: DnsError."""
    query = _Query(question.to_wire())
    try:
        endpoint = HostnameEndpoint(reactor, server.host, server.port, timeout=CONNECT_WITHIN_S)
        await endpoint.connect(_One(query))
        late = reactor.callLater(ANSWER_WITHIN_S, query.end, "dns-timeout")
        try:
            wire = await query.answer
        finally:
            query.hang_up()
            if late.active():
                late.cancel()
        return _read(wire, question)
    except (ConnectError, DNSLookupError) as error:
        raise DnsError("dns-unreachable", server=server) from error
    except (dns.tsig.PeerBadKey, dns.tsig.PeerBadSignature, dns.tsig.BadSignature) as error:
        raise DnsError("dns-key", server=server) from error
    except (dns.tsig.PeerBadTime, dns.tsig.BadTime) as error:
        raise DnsError("dns-clock", server=server) from error
    except dns.exception.DNSException as error:
        raise DnsError("dns-nonsense", server=server) from error
    except _Unsigned as refusal:
        raise DnsError("dns-refused", server=server, answer=str(refusal)) from refusal
    except _Over as over:
        raise DnsError(over.code, server=server) from over


def _read(wire: bytes, question: dns.message.Message) -> dns.message.Message:
    """Raises: DNSException, _Unsigned."""
    try:
        answer = dns.message.from_wire(wire, keyring=question.keyring, request_mac=question.mac)
    except dns.exception.FormError:
        if question.keyring is None:
            raise
        bare = dns.message.from_wire(wire, keyring=False)
        if question.is_response(bare) and not bare.had_tsig and bare.rcode() != dns.rcode.NOERROR:
            raise _Unsigned(dns.rcode.to_text(bare.rcode())) from None  # a refusal needs no signature to be one
        raise
    if not question.is_response(answer) or (question.keyring is not None and not answer.had_tsig):
        raise dns.exception.FormError
    return answer


def system_resolver() -> DnsServer:
    """The first server that this machine asks. Raises: DnsError."""
    try:
        found = dns.resolver.Resolver().nameservers
    except dns.exception.DNSException as error:
        raise DnsError("dns-no-resolver") from error
    if not found:
        raise DnsError("dns-no-resolver")
    return DnsServer(str(found[0]))


async def texts_at(reactor: Any, server: DnsServer, name: str) -> list[str]:
    """The TXT records of a name; a name that does not exist has none. Raises: DnsError."""
    question = dns.message.make_query(dns.name.from_text(name), dns.rdatatype.TXT, use_edns=True)
    question.flags |= dns.flags.RD
    answer = await ask(reactor, server, question)
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise DnsError("dns-failed", server=server, answer=dns.rcode.to_text(answer.rcode()))
    return [
        b"".join(record.strings).decode("utf-8", "replace")
        for records in answer.answer
        if records.rdtype == dns.rdatatype.TXT
        for record in records
    ]


class _Unsigned(Exception):
    """A refusal without a signature."""


class _Over(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Query(Int16StringReceiver):
    """Length and message, as RFC 1035, section 4.2.2 has it."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire
        self.answer: Deferred[bytes] = Deferred(lambda _: self.hang_up())

    def connectionMade(self) -> None:
        self.sendString(self._wire)  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        if not self.answer.called:
            self.answer.callback(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.end("dns-nonsense")

    def end(self, code: str) -> None:
        if not self.answer.called:
            self.answer.errback(_Over(code))

    def hang_up(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


class _One(Factory):
    noisy = False

    def __init__(self, query: _Query) -> None:
        self._query = query

    def buildProtocol(self, addr: Any) -> _Query:
        return self._query
