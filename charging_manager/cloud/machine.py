"""What programs of this machine may do with the token of the runtime file: bring a certificate, read the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import field, frozen
from twisted.logger import Logger

from charging_manager.cloud.ledger import Ledger
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.http.tls import TlsDoor

log = Logger()

_LARGEST_PAIR = 1024 * 1024
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@frozen
class CertificatePair:
    """PEM texts: the certificate with its chain, and its private key."""

    cert: str = field(repr=False)
    key: str = field(repr=False)


@frozen
class CertificateShown:
    """What the server shows from now on."""

    subject: str
    not_after: str
    fingerprint: str


async def _nothing() -> dict[str, float]:
    return {}


class Machine:
    """``announce`` rewrites the runtime file when the key has changed; ``figures`` are the metrics, name to value,
    and so is what is ``counted`` in the database."""

    def __init__(
        self,
        token: str,
        tls: TlsDoor,
        announce: Callable[[], None],
        figures: Callable[[], dict[str, float]],
        ledger: Ledger,
        counted: Callable[[], Awaitable[dict[str, float]]] = _nothing,
    ) -> None:
        self._counted = counted
        self._token, self._tls, self._announce, self._figures, self._ledger = token, tls, announce, figures, ledger

    def routes(self) -> list[Route]:
        return [
            Route(
                "PUT",
                "/api/v1/cloud/admin/certificate",
                Right.ANYBODY,
                self._certificate,
                "Show this certificate from now on; for charging_manager cloud_cert",
                body=CertificatePair,
                answer=CertificateShown,
                loopback_only=True,
                body_limit=_LARGEST_PAIR,
                statuses=(200, 401, 403, 422),
            ),
            Route(
                "GET",
                "/metrics",
                Right.ANYBODY,
                self._metrics,
                "Figures for Prometheus; from loopback, or with the runtime file's token",
                statuses=(200, 401),
            ),
        ]

    async def _certificate(self, call: Call) -> CertificateShown:
        if not call.bears(self._token):
            raise Problem(401, "token-needed", "This needs the token of the server's runtime file.")
        pair: CertificatePair = call.body
        self._tls.load(pair.cert.encode("utf-8"), pair.key.encode("utf-8"))
        self._announce()
        shown = CertificateShown(self._tls.subject, self._tls.not_after.isoformat(), self._tls.fingerprint)
        log.info("new certificate of {subject}, valid until {until}", subject=shown.subject, until=shown.not_after)
        await self._ledger.did("machine", call.caller.source, "certificate-changed", shown.fingerprint)
        return shown

    async def _metrics(self, call: Call) -> Answer:
        by_key = "metrics-read" in (call.caller.scopes or ())
        if not call.caller.loopback and not by_key and not call.bears(self._token):
            raise Problem(401, "token-needed", "This needs the token of the server's runtime file.")
        figures = {**self._figures(), **await self._counted()}
        lines = [f"cm_cloud_{name} {value:.15g}\n" for name, value in sorted(figures.items())]
        head = self._ledger.head
        lines.append(f'cm_cloud_audit_head{{hash="{head.hash}"}} {head.number}\n')
        return Answer("".join(lines).encode("ascii"), content_type=METRICS_TYPE)
