"""From an account to a certificate: the steps of RFC 8555, section 7, with DNS-01.

An order lives at the authority, under an address. Whoever kept that address, and the key that the certificate is for,
goes on where another run was interrupted: every step first looks how the order stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from charging_manager.acme.authority import Authority, Reply, address
from charging_manager.acme.signing import AccountKey, b64
from charging_manager.acme.trouble import AcmeError, problem_of

FIRST_LOOK_S, LONGEST_LOOK_S, LOOKS_S = 0.5, 30.0, 300.0
CHALLENGE = "_acme-challenge."


@frozen
class Account:
    """Our key, and the account's address at the authority."""

    key: AccountKey
    url: str


class Proofs(Protocol):
    """Where TXT records are published. Both raise what their owner understands."""

    async def put(self, host: str, value: str) -> None:
        """``_acme-challenge.<host>`` leads to this value, as far as the authority can see."""

    async def take(self, host: str, value: str) -> None:
        """It need not any more."""


Sleep = Callable[[float], Awaitable[None]]


async def open_account(
    authority: Authority, key: AccountKey, *, terms: str, contact: str = "", customer: tuple[str, str] | None = None
) -> Account:
    """The account of this key, made if there is none. ``terms``: the address of what was agreed to.

    Raises: AcmeError, ConfigError (``customer``).
    """
    directory = await authority.directory()
    if directory.terms != terms:
        raise AcmeError("terms")
    if directory.wants_binding and customer is None:
        raise AcmeError("binding")
    wish: dict[str, Any] = {"termsOfServiceAgreed": True}
    if contact:
        wish["contact"] = [f"mailto:{contact}"]
    if customer is not None:
        wish["externalAccountBinding"] = key.bound_to(*customer, directory.new_account)
    try:
        reply = await authority.ask(directory.new_account, key, None, wish)
    except AcmeError as error:
        if customer is not None and error.status in (400, 401, 403) and error.code in ("refused", "binding"):
            raise AcmeError("binding-wrong", kind=error.kind, detail=error.fields.get("detail", "")) from error
        raise
    return Account(key, address(reply.headers.get("location")))


async def new_order(authority: Authority, account: Account, names: tuple[str, ...]) -> str:
    """The address of a new order. Raises: AcmeError."""
    wish = {"identifiers": [{"type": "dns", "value": name} for name in names]}
    directory = await authority.directory()
    reply = await authority.ask(directory.new_order, account.key, account.url, wish)
    return address(reply.headers.get("location"))


async def carry_out(
    authority: Authority, account: Account, order: str, names: tuple[str, ...], key: Any, proofs: Proofs, sleep: Sleep
) -> bytes:
    """The certificate with its chain, PEM. Raises: AcmeError, and what ``proofs`` raises."""
    errand = _Errand(authority, account, sleep)
    stand = await errand.look(order)
    if stand.get("status") == "pending":
        for url in _addresses(stand.get("authorizations")):
            await errand.prove(url, proofs)
        stand = await errand.wait(order, ("pending",))
    if stand.get("status") == "ready":
        finalize = address(stand.get("finalize"))
        await errand.ask(finalize, {"csr": b64(_request(names, key))})
        stand = await errand.wait(order, ("ready", "processing"))
    elif stand.get("status") == "processing":
        stand = await errand.wait(order, ("processing",))
    if stand.get("status") != "valid":
        raise problem_of(stand.get("error"))
    return (await errand.ask(address(stand.get("certificate")))).body


@frozen
class _Errand:
    authority: Authority
    account: Account
    sleep: Sleep

    async def ask(self, url: str, payload: Any = None) -> Reply:
        return await self.authority.ask(url, self.account.key, self.account.url, payload)

    async def look(self, url: str) -> dict[str, Any]:
        return (await self.ask(url)).json()

    async def wait(self, url: str, while_it_is: tuple[str, ...]) -> dict[str, Any]:
        """Look again and again until it is something else. Raises: AcmeError ``slow``."""
        waited_s, pause_s = 0.0, FIRST_LOOK_S
        while True:
            reply = await self.ask(url)
            said = reply.json()
            if said.get("status") not in while_it_is:
                return said
            if waited_s >= LOOKS_S:
                raise AcmeError("slow")
            wanted_s = min(max(self.authority.wait_s(reply), pause_s), LONGEST_LOOK_S)
            await self.sleep(wanted_s)
            waited_s, pause_s = waited_s + wanted_s, min(pause_s * 1.5, 10.0)

    async def prove(self, url: str, proofs: Proofs) -> None:
        """That a name is ours. Raises: AcmeError."""
        said = await self.look(url)
        if said.get("status") == "valid":
            return
        host = str((said.get("identifier") or {}).get("value", ""))
        offered = [one for one in said.get("challenges") or [] if isinstance(one, dict)]
        challenge = next((one for one in offered if one.get("type") == "dns-01"), None)
        if said.get("status") != "pending" or challenge is None:
            raise AcmeError("no-dns") if challenge is None else _why(said)
        value = self.account.key.dns_value(str(challenge.get("token", "")))
        await proofs.put(host, value)
        try:
            if challenge.get("status") == "pending":
                await self.ask(address(challenge.get("url")), {})
            said = await self.wait(url, ("pending",))
        finally:
            await proofs.take(host, value)
        if said.get("status") != "valid":
            raise _why(said)


def _why(authorization: dict[str, Any]) -> AcmeError:
    """Why a name was not proved: the error of the challenge that failed."""
    for challenge in authorization.get("challenges") or []:
        if isinstance(challenge, dict) and challenge.get("error"):
            error = problem_of(challenge["error"])
            if error.code == "refused" and error.kind == "unauthorized":
                return AcmeError("not-proved", kind=error.kind, detail=error.fields["detail"])
            return error
    return AcmeError("refused", detail=f"the proof is {authorization.get('status')}.")


def _addresses(urls: object) -> list[str]:
    if not isinstance(urls, list) or len(urls) > 8:
        raise AcmeError("nonsense", reason="an order without authorizations")
    return [address(url) for url in urls]


def _request(names: tuple[str, ...], key: Any) -> bytes:
    """A certificate signing request, DER."""
    common = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])] if len(names[0]) <= 64 else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(common))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    signed = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)
