"""What is possible for a site or its tariff and yet looks like a mistake: said beside it, never refused.

As ``ruledoubts`` does for rules. What cannot be is refused where it is checked (``check_site``, ``check_tariff``).
"""

from __future__ import annotations

from collections.abc import Iterator

from charging_manager.agent.config import Configuration, DeviceSettings, Kind
from charging_manager.agent.picture import Sentence
from charging_manager.agent.ruledoubts import Doubt
from charging_manager.control.wiring import NOMINAL_V
from charging_manager.model.site import Circuit
from charging_manager.tariffs.settings import TariffSettings

LEAST_A = 6.0
"""No car charges with less, IEC 61851-1."""
LEAST_W = LEAST_A * NOMINAL_V
FAR_ABOVE = 1.6
"""A breaker of so many times the limit is hardly that circuit's own: the next sizes are 1.25 and 1.6 times as large."""
ODD_PRICE = {"EUR": 2.0, "CHF": 2.0, "GBP": 2.0, "USD": 2.0}
"""A kWh hardly costs more, either way; other currencies are not judged."""


def site_doubts(config: Configuration) -> Iterator[Doubt]:
    """Of circuits and charge points."""
    for circuit in config.circuits.values():
        yield from _of_circuit(f"circuits.{circuit.id}", circuit)
    for device in config.devices.values():
        if device.kind is Kind.CHARGE_POINT:
            yield from _of_charge_point(f"devices.{device.id}", device)


def tariff_doubts(tariff: TariffSettings) -> Iterator[Doubt]:
    """Of prices that a person entered."""
    most = ODD_PRICE.get(tariff.currency)
    if most is None:
        return
    entered = [("tariff.price", tariff.price), ("tariff.offset", tariff.offset)]
    entered += [(f"tariff.windows.{number}.price", window.price) for number, window in enumerate(tariff.windows)]
    for where, price in entered:
        if price is not None and abs(price) > most:
            yield Doubt(
                where,
                Sentence(
                    "odd-price",
                    "{amount} {currency} for a kWh is unusual. Prices are in {currency} per kWh: 30 cents are 0.30.",
                    {"amount": float(price), "currency": tariff.currency},
                ),
            )


def _of_circuit(where: str, circuit: Circuit) -> Iterator[Doubt]:
    for key, amps in (("limit_a", circuit.limit_a), ("charging_limit_a", circuit.charging_limit_a or ())):
        most = max(amps, default=0.0)
        if 0.0 < most < LEAST_A:
            yield Doubt(
                f"{where}.{key}",
                Sentence(
                    "limit-too-low",
                    "{amps} A let no car charge: every car needs 6 A at least. If none shall charge here, enter 0.",
                    {"amps": most},
                ),
            )
    room_a = max(circuit.limit_a) - circuit.reserve_a
    if max(circuit.limit_a) >= LEAST_A > room_a:
        yield Doubt(
            f"{where}.reserve_a",
            Sentence(
                "reserve-too-large",
                "With a reserve of {reserve} A only {amps} A are left: no car charges with less than 6 A.",
                {"reserve": circuit.reserve_a, "amps": room_a},
            ),
        )
    for key, watts in (("limit_w", circuit.limit_w), ("charging_limit_w", circuit.charging_limit_w)):
        if watts is not None and 0.0 < watts < LEAST_W:
            yield Doubt(f"{where}.{key}", _too_few_watts(watts))
    if circuit.breaker is not None and circuit.breaker.rated_a > FAR_ABOVE * max(circuit.limit_a):
        yield Doubt(
            f"{where}.breaker.rated_a",
            Sentence(
                "breaker-too-large",
                "A breaker of {rated} A does not protect a circuit of {amps} A: enter the breaker of this circuit, or "
                "leave it out if the limit is not its own.",
                {"rated": circuit.breaker.rated_a, "amps": max(circuit.limit_a)},
            ),
        )


def _of_charge_point(where: str, box: DeviceSettings) -> Iterator[Doubt]:
    least_w = box.min_a * NOMINAL_V
    if box.max_w is not None and box.max_w < least_w:
        yield Doubt(f"{where}.max_w", _too_few_watts(box.max_w, least_w))


def _too_few_watts(watts: float, least_w: float = LEAST_W) -> Sentence:
    return Sentence(
        "watts-too-low",
        "{watts} W let no car charge: one phase at its least current takes {least} W.",
        {"watts": watts, "least": least_w},
    )
