"""Why a tunnel is down: stable codes, and the sentence that a person reads for each (translated at the edge)."""

from __future__ import annotations

from typing import Final

from charging_manager.errors import TunnelError

SENTENCES: Final[dict[str, str]] = {
    "no-server": "There is no default cloud server in this build; enter one.",
    "name-not-found": "The name of the cloud server could not be found; check the name and the network's DNS.",
    "unreachable": "The cloud server does not answer at this address and port.",
    "timeout": "The cloud server did not answer in time.",
    "lost": "The connection to the cloud server broke; it is being built again.",
    "silent": "Nothing came from the cloud server for 45 seconds; the connection is being built again.",
    "tls-failed": "No encrypted connection could be agreed upon with the cloud server.",
    "not-a-tunnel": "Something answers at this address, but it is not a Charging Manager cloud server.",
    "certificate-not-trusted": "The cloud server's certificate is neither signed by a trusted authority nor known.",
    "certificate-wrong-name": "The cloud server's certificate was issued for another name.",
    "certificate-unusable": "The cloud server's certificate has a key that no login can be bound to; use RSA or ECDSA.",
    "authorities-unreadable": (
        "No certificates of authorities can be read from {file}: cloud_ca must name a PEM file that the agent's user "
        "can read."
    ),
    "man-in-the-middle": "Somebody between here and the cloud server shows another certificate; no login was made.",
    "server-not-genuine": "The cloud server could not prove that it knows this installation; no login was made.",
    "weak-login": "The cloud server asked for a login that is too easy to break (or too costly); no login was made.",
    "refused": "The cloud server refused: the Cloud ID or the installation password is wrong there.",
    "enrolment-closed": "The cloud server does not admit installations by serial number; enter a Cloud ID.",
    "not-ready": "The cloud server is not set up yet: it has no admin password.",
    "versions": "The cloud server speaks another version of the tunnel; update the older side.",
    "busy": "The cloud server has too much to do; it will be asked again.",
    "not-approved": "The cloud server's operator has not approved this installation yet; it will be asked again.",
    "disabled": "The cloud server's operator has disabled this installation.",
    "deleted": "The cloud server's operator has removed this installation.",
    "displaced": "Another agent logged in with this Cloud ID and password; each needs its own.",
    "restart": "The cloud server is being restarted; the connection comes back by itself.",
    "stopping": "The cloud service was switched off or its settings changed.",
    "password-changed": "The installation's password was changed at the cloud server.",
    "protocol": "The other end sent something that is not allowed; the connection was closed.",
    "overloaded": "The other end does not read what it asked for; the connection was closed.",
    "failed": "The other end failed at this request; its log says why.",
    "token-refused": "The login session is over; please log in again.",
    "label-taken": "Another installation has this address at the cloud server; make a new one.",
    "domain-forbidden": "This domain cannot lead to an installation: it is the cloud server's own.",
    "domain-unproven": "The DNS entry that says whose the domain is has not been found yet.",
    "domain-taken": "Another installation has this domain at the cloud server; its DNS entry has to go first.",
    "domain-unknown": "The cloud server could not ask the DNS for the domain's entry; it is asked again.",
    "not-published": "The cloud server could not publish the DNS entry; its log tells the operator why.",
    "too-often": "The cloud server does no more of this for this installation for now; it is asked again later.",
    "draining": "The tunnel is being closed.",
    "offline": "The installation is not connected.",
}
"""Code to English sentence; only ``authorities-unreadable`` has a field, ``file``, and never travels."""


def sentence(code: str) -> str:
    """What a person reads for this code; an unknown one (of a newer peer) is shown as it is."""
    return SENTENCES.get(code, code)


def trouble(code: str, **fields: str) -> TunnelError:
    """The error for this code, its sentence included."""
    said = sentence(code)
    return TunnelError(code, said.format_map(fields) if fields else said, **fields)


class Refusal(TunnelError):
    """The one error that travels: ``str`` is its code, which is all that the other end learns."""

    def __init__(self, code: str) -> None:
        known = code if code in SENTENCES else "refused"
        super().__init__(known, known)


class Violation(TunnelError):
    """The peer broke a bound or a rule; its connection is closed. ``what`` is for our log."""

    def __init__(self, what: str) -> None:
        super().__init__("protocol", what)
        self.what = what
