"""Tests of devices over the API, and their commissioning reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen

from charging_manager.agent.config import DeviceSettings, Kind
from charging_manager.agent.people import People
from charging_manager.agent.reports import Who
from charging_manager.agent.running import RunningSite
from charging_manager.agent.trials import Trials
from charging_manager.devices.trial import TestStep
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Route
from charging_manager.words import say


@frozen
class TrialPages:
    """The routes of tests and reports, under ``/devices/{id}``."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        one = "/api/v1/devices/{id}"
        return [
            Route(
                "POST",
                f"{one}/test",
                Right.ADMIN,
                self.test,
                "Try a device step by step; while_charging=1: also if a car is charging",
                answer=dict,
                query=("while_charging",),
            ),
            Route("GET", f"{one}/test", Right.ADMIN, self.show, "The test that is under way, if any", answer=dict),
            Route("DELETE", f"{one}/test", Right.ADMIN, self.cancel, "Cancel the test", statuses=(204,)),
            Route("GET", f"{one}/reports", Right.ADMIN, self.listing, "Its commissioning reports", answer=dict),
            Route("GET", f"{one}/reports/{{number}}", Right.ADMIN, self.report, "One of them", answer=dict),
        ]

    @property
    def _trials(self) -> Trials:
        if self.site.trials is None:
            raise Problem(503, "no-tests", "This program cannot test devices.")
        return self.site.trials

    async def test(self, call: Call) -> Any:
        device = self._found(call)
        language = call.caller.language
        driver = self.site.drivers.get(device.driver)
        if self.site.fleet.device(device.id) is None or driver is None:
            reason = self.site.fleet.not_running.get(device.id, "it is out of service")
            return _refused("start", say(language, "The device does not run: {reason}", reason=reason))
        if device.kind is Kind.CHARGE_POINT and not self.site.may_try(device.id):
            text = say(
                language, "The test needs {amps} A for a moment, and that much is not free now.", amps=device.min_a
            )
            return _refused("free", text)
        anyway = call.query.get("while_charging") in ("1", "true")
        trial = await self._trials.run(device, driver, _who(call.caller), while_charging=anyway)
        self.people.note(call.caller, "device-tested", device.id, trial.verdict)
        return {
            "ok": trial.verdict == "passed",
            "steps": _steps(trial.steps, language),
            "verdict": trial.verdict,
            "report": trial.report,
        }

    async def show(self, call: Call) -> Any:
        trial = self._trials.running(self._found(call).id)
        steps = [] if trial is None else trial.steps
        return {"running": trial is not None, "steps": _steps(steps, call.caller.language)}

    async def cancel(self, call: Call) -> Any:
        device = self._found(call)
        self._trials.cancel(device.id)
        self.people.note(call.caller, "test-cancelled", device.id)
        return Answer(status=204)

    async def listing(self, call: Call) -> Any:
        found = await self._trials.reports.of(self._found(call).id)
        return {"reports": [{"number": e.number, "at": e.at, "verdict": e.verdict, "by": e.by} for e in found]}

    async def report(self, call: Call) -> Any:
        device, number = self._found(call), call.params["number"]
        known = number.isascii() and number.isdigit() and len(number) < 10
        document = await self._trials.reports.get(device.id, int(number)) if known else None
        if document is None:
            raise Problem(404, "not-found", "There is no report {id} of this device.", id=repr(number))
        for step in document["steps"]:
            step["text"] = say(call.caller.language, step["sentence"], **step["fields"])
        return document

    def _found(self, call: Call) -> DeviceSettings:
        name = call.params["id"]
        device = self.site.config.current.devices.get(name)
        if device is None:
            raise Problem(404, "not-found", "There is no device {id}.", id=repr(name))
        return device


def _who(caller: Caller) -> Who:
    return Who(caller.role.value, caller.user, "cloud" if caller.remote else caller.source)


def _refused(step: str, text: str) -> dict[str, Any]:
    return {
        "ok": False,
        "steps": [{"name": step, "ok": False, "text": text}],
        "verdict": "failed",
        "report": None,
    }


def _steps(steps: Iterable[TestStep], language: str) -> list[dict[str, Any]]:
    return [{"name": step.name, "ok": step.ok, "text": say(language, step.sentence, **step.fields)} for step in steps]
