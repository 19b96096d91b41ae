"""The agent's route table: every way in, from the listener and from the tunnel."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import maybeDeferred

from charging_manager.agent.api_backups import backup_routes
from charging_manager.agent.api_certificate import CertificateDesk
from charging_manager.agent.api_cloud import CloudPages, ShownUplink
from charging_manager.agent.api_devices import DevicePages
from charging_manager.agent.api_drivers import DriverPages, InThread
from charging_manager.agent.api_goals import GoalPages
from charging_manager.agent.api_grid import GridPages
from charging_manager.agent.api_inputs import InputPages
from charging_manager.agent.api_live import LivePages
from charging_manager.agent.api_logins import login_routes
from charging_manager.agent.api_ocpp import OcppPages
from charging_manager.agent.api_private import PrivatePages
from charging_manager.agent.api_pushed import PushedPages
from charging_manager.agent.api_recording import RecordingPages
from charging_manager.agent.api_rules import RulePages
from charging_manager.agent.api_scan import ScanPages
from charging_manager.agent.api_sessions import SessionPages
from charging_manager.agent.api_site import SitePages
from charging_manager.agent.api_system import SystemPages
from charging_manager.agent.api_tariff import TariffPages
from charging_manager.agent.api_trials import TrialPages
from charging_manager.agent.api_users import UserPages
from charging_manager.agent.api_vehicle import VehiclePages
from charging_manager.agent.api_why import WhyPages
from charging_manager.agent.certify import Certifier
from charging_manager.agent.end_to_end import EndToEnd
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.daemon.logs import DaemonLog
from charging_manager.http.health import Health
from charging_manager.http.routes import Call, Right, Route
from charging_manager.http.table import RouteTable
from charging_manager.http.tally import Tally


def build_table(
    site: RunningSite,
    people: People,
    uplink: ShownUplink,
    private: EndToEnd,
    certifier: Certifier,
    daemon_log: DaemonLog,
    token: str,
    in_thread: InThread = maybeDeferred,
    health: Health | None = None,
    tally: Tally | None = None,
) -> RouteTable:
    """All routes of the agent."""

    async def describe(call: Call) -> Any:
        return table.openapi()

    table = RouteTable(
        [
            *SystemPages(site, people, daemon_log, token, tally or Tally()).routes(),
            *(health.routes() if health is not None else ()),
            *login_routes(site, people),
            *LivePages(site, people).routes(),
            *CloudPages(site, people, uplink).routes(),
            *PrivatePages(site, people, private, CertificateDesk(site, private, certifier)).routes(),
            *DevicePages(site, people).routes(),
            *DriverPages(site, people, in_thread).routes(),
            *PushedPages(site, people).routes(),
            *SitePages(site, people).routes(),
            *UserPages(site, people).routes(),
            *SessionPages(site).routes(),
            *VehiclePages(site, people).routes(),
            *WhyPages(site).routes(),
            *GoalPages(site, people).routes(),
            *TariffPages(site, people).routes(),
            *RulePages(site, people).routes(),
            *InputPages(site, people, token).routes(),
            *GridPages(site, people, token).routes(),
            *RecordingPages(site, people).routes(),
            *backup_routes(site, people),
            *ScanPages(site, people).routes(),
            *TrialPages(site, people).routes(),
            *OcppPages(site, people).routes(),
            Route("GET", "/api/v1/openapi.json", Right.ANYBODY, describe, "This description", answer=dict),
        ],
        "Charging Manager agent",
    )
    return table
