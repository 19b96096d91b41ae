"""The recording of the last days over the API: whether it is on, how much there is, and its download."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.config import Configuration
from charging_manager.agent.people import People
from charging_manager.agent.recording_settings import RecordingSettings
from charging_manager.agent.running import RunningSite
from charging_manager.http.routes import Call, Problem, Right, Route, Stream


@frozen
class RecordingBody:
    """Which of it shall change. ``files`` and ``bytes`` are accepted because ``GET`` shows them."""

    enabled: bool | None = None
    days: int | None = None
    mib: int | None = None
    files: int | None = None
    bytes: int | None = None


@frozen
class RecordingPages:
    """The routes of the recording."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        return [
            Route(  # a file of its own kind is none of those that the cloud may carry
                "GET",
                "/api/v1/recording",
                Right.ADMIN,
                self.download,
                "Readings and decisions of the last days",
                site_only=True,
            ),
            Route("GET", "/api/v1/config/recording", Right.ADMIN, self.show, "What is recorded", answer=dict),
            Route(
                "PUT",
                "/api/v1/config/recording",
                Right.ADMIN,
                self.change,
                "Switch recording on or off, or keep more or less of it",
                body=RecordingBody,
                answer=dict,
            ),
        ]

    async def show(self, call: Call) -> Any:
        settings = self.site.config.current.recording
        sizes = []
        for path in self.site.recorder.files() if self.site.recorder is not None else ():
            try:
                sizes.append(path.stat().st_size)
            except OSError:  # it has just grown too old
                continue
        return {
            "enabled": settings.enabled,
            "days": settings.days,
            "mib": settings.mib,
            "files": len(sizes),
            "bytes": sum(sizes),
        }

    async def change(self, call: Call) -> Any:
        body: RecordingBody = call.body

        def changed(config: Configuration) -> Configuration:
            given = {key: getattr(body, key) for key in ("enabled", "days", "mib") if getattr(body, key) is not None}
            settings: RecordingSettings = evolve(config.recording, **given)
            return evolve(config, recording=settings)

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "recording", "", "on" if self.site.config.current.recording.enabled else "off")
        return await self.show(call)

    async def download(self, call: Call) -> Any:
        recorder = self.site.recorder
        if recorder is None or not recorder.files():
            raise Problem(404, "nothing-recorded", "Nothing is recorded yet.")
        written = recorder.flush()
        if written is not None:
            await written
        name = f"recording-{self.site.now():%Y%m%d-%H%M}.cmrec"
        self.people.note(call.caller, "recording", "", "downloaded")
        return Stream(recorder.send, "application/octet-stream", name)
