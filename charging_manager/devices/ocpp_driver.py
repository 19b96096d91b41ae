"""The one driver that is no file: charge points that speak OCPP say themselves what they can do."""

from __future__ import annotations

from charging_manager.devices.driver import Channels, Driver, FedBy, Kind, Quality, Setpoint, Setting, Watchdog

LARGE = "above-32-a"
LARGE_A, USUAL_A = 80.0, 32.0
LASTS_S = 60
"""A setpoint holds so long; then the charge point takes its fallback by itself."""

RENEW_S = 20.0
"""So often it is sent anew."""

MOST_CONNECTORS = 100

OCPP = Driver(
    name="ocpp",
    vendor="OCPP",
    model="1.6J, 2.0.1",
    kind=Kind.CHARGER,
    registers={},
    sources=("OCPP 1.6J, edition 2, with security whitepaper edition 3", "OCPP 2.0.1, edition 3, parts 2 and 4"),
    notes=("docs/ocpp.md says how a charge point is set up.",),
    quality=Quality.MANUAL,
    ocpp=True,
    setpoint=Setpoint("charging_profile", 6.0, USUAL_A, 0.1, pause=(), keep_every_s=RENEW_S),
    watchdog=Watchdog(
        FedBy.SETPOINT_WRITE,
        timeout="setpoint_lasts_s",
        timeout_write=None,
        timeout_s=LASTS_S,
        every_s=RENEW_S,
        fallback="default_profile",
    ),
    channels=Channels(step=0, first=1, count=MOST_CONNECTORS),
    settings=(Setting(LARGE, "It can draw more than 32 A per phase (up to 80 A)"),),
)
