"""Backups over the API, the same at agent and cloud: made, listed, taken along, deleted, looked at, brought back.

Bringing one back, and taking one along, is for the site (or the server) itself: a backup holds private keys, and
whoever puts another state in place decides who is let in. A file is brought in pieces: none is whole in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any

from attrs import asdict, evolve, field, frozen
from twisted.internet.defer import maybeDeferred

from charging_manager.errors import ConfigError
from charging_manager.http.bodies import to_json
from charging_manager.http.fields import length
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Route, Sink, Source, Stream
from charging_manager.storage.keeper import Busy, Keeper, Looked
from charging_manager.storage.keeping import BackupSettings, check_settings
from charging_manager.storage.passphrase import FILE, keep_passphrase
from charging_manager.words import say

PIECE = 1024 * 1024
_READ = 32_768


@frozen
class BackupSettingsBody:
    """What shall be different. ``passphrase`` is never shown again; an empty one is forgotten."""

    enabled: bool | None = None
    weekday: int | None = None
    at: str | None = None
    keep: int | None = None
    mib: int | None = None
    folder: str | None = field(default=None, validator=length(0, 500))
    encrypt: bool | None = None
    passphrase: str | None = field(default=None, repr=False, validator=length(0, 1000))


@frozen
class LookBody:
    """A backup of the list by its ``name``, or without one what was brought."""

    name: str | None = None
    passphrase: str | None = field(default=None, repr=False, validator=length(0, 1000))


@frozen
class RestoreBody:
    """``ticket`` of what was looked at."""

    ticket: str = field(validator=length(1, 100))


@frozen
class BackupPages:
    """Routes under ``path``. ``change`` keeps new settings, ``note`` writes into the audit log."""

    keeper: Keeper
    path: str
    change: Callable[[BackupSettings], Awaitable[object]]
    note: Callable[[Caller, str, str], object]

    def routes(self) -> list[Route]:
        admin, path = Right.ADMIN, self.path
        here: dict[str, Any] = {"site_only": True}
        return [
            Route("GET", path, admin, self._show, "Backups, their settings, and what is at work", answer=dict),
            Route(
                *("PUT", path, admin, self._settings, "Change when backups are made and how many are kept"),
                body=BackupSettingsBody,
                answer=dict,
                statuses=(200, 403, 422),
            ),
            Route(*("POST", path, admin, self._make, "Make a backup now"), answer=dict, statuses=(202, 409)),
            Route("GET", f"{path}/{{name}}", admin, self._take, "Take a backup along", statuses=(200, 404), **here),
            Route("DELETE", f"{path}/{{name}}", admin, self._delete, "Delete a backup", statuses=(204, 404)),
            Route(
                *("PUT", f"{path}/brought", admin, self._bring, "One piece of a backup that is brought, up to 1 MiB"),
                body=bytes,
                body_limit=PIECE,
                query=("at",),
                answer=dict,
                statuses=(200, 409, 422, 507),
                **here,
            ),
            Route(
                *("POST", f"{path}/look", admin, self._look, "Unpack a backup and show what it would change"),
                body=LookBody,
                answer=dict,
                statuses=(202, 404, 409),
                **here,
            ),
            Route(
                *("POST", f"{path}/forget", admin, self._forget, "What was unpacked is not wanted"),
                statuses=(204, 409),
                **here,
            ),
            Route(
                *("POST", f"{path}/restore", admin, self._restore, "Put what was looked at in place, and begin anew"),
                body=RestoreBody,
                answer=dict,
                statuses=(202, 409, 422),
                **here,
            ),
        ]

    async def _show(self, call: Call) -> Any:
        keeper, settings = self.keeper, self.keeper.settings()
        next_at = keeper.next_at()
        language = call.caller.language
        try:
            held = keeper.shelf.listing()
        except OSError:
            held = []
        looked = keeper.looked
        return {
            "settings": {**asdict(settings), "passphrase_set": (keeper.shelf.data / FILE).exists()},
            "folder": str(keeper.shelf.folder),
            "free_bytes": keeper.free_bytes(),
            "next_at": next_at.isoformat() if next_at else None,
            "trouble": _said(language, keeper.trouble),
            "failed": _said(language, keeper.failed),
            "job": keeper.job,
            "looked": None if looked is None or call.caller.remote else _seen(looked),
            "backups": [
                {
                    "name": one.path.name,
                    "at": one.at.isoformat(),
                    "bytes": one.size,
                    "weekly": one.weekly,
                    "encrypted": one.encrypted,
                }
                for one in held
            ],
        }

    async def _settings(self, call: Call) -> Any:
        body: BackupSettingsBody = call.body
        names = ("enabled", "weekday", "at", "keep", "mib", "folder", "encrypt")
        given = {name: getattr(body, name) for name in names if getattr(body, name) is not None}
        before = self.keeper.settings()
        settings: BackupSettings = evolve(before, **given)
        if call.caller.remote and (settings.folder != before.folder or body.passphrase is not None):
            raise Problem(403, "site-only", "this is possible only at the site, not through the cloud")
        try:
            check_settings(settings)
            if body.passphrase is not None:
                keep_passphrase(self.keeper.shelf.data, body.passphrase or None)
            if settings != before:
                await self.change(settings)
        except ConfigError as error:
            where = error.where.removeprefix("backups.")
            raise Problem(422, "invalid-field", error.template, where, **error.fields) from error
        self.note(call.caller, "backup-settings", " ".join(sorted(given)))
        return await self._show(call)

    async def _make(self, call: Call) -> Any:
        self._begin(self.keeper.make)
        self.note(call.caller, "backup-made", "")
        return Answer(to_json(await self._show(call)), status=202)

    async def _take(self, call: Call) -> Any:
        path = self._find(call.params["name"])
        self.note(call.caller, "backup-taken", path.name)
        return Stream(lambda sink: _FromFile(path, sink), "application/octet-stream", path.name)

    async def _delete(self, call: Call) -> None:
        path = self._find(call.params["name"])
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Problem(422, "not-deleted", "it cannot be deleted ({reason})", reason=error.strerror) from error
        self.note(call.caller, "backup-deleted", path.name)

    async def _bring(self, call: Call) -> Any:
        text = call.query.get("at", "0")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Problem(422, "invalid-field", "must be a whole number", "at")
        size = await self._asked(lambda: self.keeper.receive(int(text), call.body))
        return {"size": size}

    async def _look(self, call: Call) -> Any:
        body: LookBody = call.body
        source = self._find(body.name) if body.name is not None else self.keeper.brought
        if not source.exists():
            raise Problem(404, "not-found", "bring a backup first")
        self._begin(lambda: self.keeper.look(source, body.passphrase))
        self.note(call.caller, "backup-looked-at", body.name or "")
        return Answer(to_json(await self._show(call)), status=202)

    async def _forget(self, call: Call) -> None:
        await self._asked(self.keeper.forget)

    async def _restore(self, call: Call) -> Any:
        body: RestoreBody = call.body
        looked = self.keeper.looked
        await self._asked(lambda: self.keeper.restore(body.ticket))
        self.note(call.caller, "backup-restored", looked.summary.created_at if looked else "")
        return Answer(to_json({"begins_anew": True}), status=202)

    def _find(self, name: str) -> Path:
        path = self.keeper.shelf.find(name)
        if path is None:
            raise Problem(404, "not-found", "There is no such backup (any more).")
        return path

    def _begin(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Busy as busy:
            raise _busy() from busy

    async def _asked(self, work: Callable[[], Any]) -> Any:
        try:
            return await maybeDeferred(work)
        except Busy as busy:
            raise _busy() from busy
        except ConfigError as error:
            raise Problem(422, "invalid-field", error.template, None, **error.fields) from error


def _busy() -> Problem:
    return Problem(409, "busy", "A backup is being made or looked at; wait until that is done.")


def _seen(looked: Looked) -> dict[str, object]:
    return {"ticket": looked.ticket, "summary": looked.summary}


def _said(language: str, error: ConfigError | None) -> str | None:
    """The sentence in that language, without the path that it is about."""
    if error is None:
        return None
    try:
        return say(language, error.template, **error.fields)
    except (ConfigError, KeyError, IndexError, ValueError):
        return error.sentence


class _FromFile:
    """A file as a stream: as fast as its reader takes it, 32 KiB at a time."""

    def __init__(self, path: Path, sink: Sink) -> None:
        self._sink = sink
        self._file: IO[bytes] | None = path.open("rb")
        self.resumed()

    def resumed(self) -> None:
        while self._file is not None:
            piece = self._file.read(_READ)
            if not piece:
                self.stopped()
                self._sink.finish()
                return
            if not self._sink.write(piece):
                return

    def stopped(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


_source: type[Source] = _FromFile
