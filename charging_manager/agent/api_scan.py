"""The search for devices over the API: what may be searched, how far it is, what was found; start and cancel."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.people import People
from charging_manager.agent.places import address_key
from charging_manager.agent.running import RunningSite
from charging_manager.agent.searching import Job, Searching
from charging_manager.finding.found import Found
from charging_manager.http.routes import Answer, Call, Problem, Right, Route


@frozen
class ScanBody:
    """What to search. Without networks and lines: the offered networks."""

    networks: list[str] = field(factory=list)
    """As in 192.168.1.0/24 or 192.168.1.20; only those that this machine is in."""
    lines: list[str] = field(factory=list)
    """Serial devices, as in /dev/ttyUSB0."""
    units: str | None = None
    """Modbus units, as in 1-16,255, or ``all``; null: the usual ones."""


@frozen
class ScanPages:
    """The routes of the search."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        path = "/api/v1/scan"
        return [
            Route("GET", path, Right.ADMIN, self.show, "The search for devices: running, or the last one", answer=dict),
            Route(
                "POST",
                path,
                Right.ADMIN,
                self.start,
                "Search networks and serial lines for devices",
                body=ScanBody,
                answer=dict,
                site_only=True,
                statuses=(202,),
            ),
            Route("DELETE", path, Right.ADMIN, self.cancel, "Cancel the search; what was found stays", answer=dict),
        ]

    @property
    def _searching(self) -> Searching:
        if self.site.searching is None:
            raise Problem(503, "no-search", "This program cannot search for devices.")
        return self.site.searching

    async def show(self, call: Call) -> Any:
        searching = self._searching
        return {
            "offered": {
                "networks": [str(network) for network in searching.offered],
                "lines": list(searching.machine.lines()),
            },
            "job": self._shown(searching.job) if searching.job is not None else None,
        }

    async def start(self, call: Call) -> Any:
        body: ScanBody = call.body
        job = await field_problem(
            self._searching.start(
                body.networks,
                body.lines,
                body.units,
                drivers=self.site.drivers.values(),
                devices=self.site.config.current.devices.values(),
                by=call.caller.user or call.caller.role.value,
            )
        )
        where = ", ".join([*map(str, job.wish.networks), *job.wish.lines])
        self.people.note(call.caller, "scan-started", "", where)
        return Answer(self._shown(job), status=202)

    async def cancel(self, call: Call) -> Any:
        job = self._searching.cancel()
        self.people.note(call.caller, "scan-cancelled")
        return self._shown(job)

    def _shown(self, job: Job) -> dict[str, Any]:
        progress = job.search.progress
        devices = self.site.config.current.devices.values()
        ours = {address_key(device.address): device.id for device in devices}
        found = job.search.found
        return {
            "number": job.number,
            "state": job.state,
            "by": job.by,
            "started_at": job.started_at.isoformat(),
            "ended_at": job.ended_at.isoformat() if job.ended_at else None,
            "networks": [str(network) for network in job.wish.networks],
            "lines": list(job.wish.lines),
            "done": progress.done,
            "of": progress.of,
            "eta_s": progress.eta_s,
            "devices": sum(one.driver is not None for one in found),
            "found": [_found(one, ours.get(address_key(one.address))) for one in found],
        }


def _found(found: Found, yours: str | None) -> dict[str, Any]:
    firmware = found.said.get("firmware")
    return {
        "address": found.address,
        "how": found.how.value,
        "driver": found.driver,
        "title": found.title,
        "kind": found.kind,
        "firmware": None if firmware is None else str(firmware),
        "called": found.called,
        "yours": yours,
    }
