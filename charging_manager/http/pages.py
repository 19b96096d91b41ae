"""Pages, their files and the browser's catalogue: read from ``web/``, filled in, kept in memory.

A page is a shell whose ``{{lang}}`` and ``{{t:Sentence}}`` are filled in, escaped, once per language.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve, field, frozen

from charging_manager.errors import ConfigError
from charging_manager.words import LANGUAGES, for_browsers, say

_PAGE = re.compile(rf"/ui/({'|'.join(LANGUAGES)})/([a-z0-9-]{{1,60}})\.htm")
_LOCALE = re.compile(rf"/ui/locale/({'|'.join(LANGUAGES)})\.json")
_FILE = re.compile(r"/ui/files((?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){1,8})")
_LASTING = re.compile(r"/bundle/[a-z0-9-]+-[0-9a-f]{16}\.[a-z0-9]+")
"""As debian/bundle.py names what it makes."""
_REFUSED = re.compile(r"q=0(\.0*)?", re.IGNORECASE)
_HOLE = re.compile(r"\{\{(lang|t:([^{}]+))\}\}")
_KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
_HTML = "text/html; charset=utf-8"
_BARE_PAGE = """<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Charging Manager</title></head>
<body><h1>Charging Manager</h1><p>{sentence}</p><p><a href="/">{link}</a></p></body></html>
"""


@frozen
class File:
    """One file as it goes out; ``packed`` is its gzip form where that is worth it, ``brotli`` the form that a package
    brings. What is ``lasting`` has its content's hash in its name, and need not be asked for again.
    """

    data: bytes = field(repr=False)
    kind: str
    etag: str
    packed: bytes | None = field(default=None, repr=False)
    brotli: bytes | None = field(default=None, repr=False)
    lasting: bool = False

    def chosen(self, accepted: str) -> tuple[bytes, str, str]:
        """Bytes, coding (or nothing) and ETag for a browser that sends this as Accept-Encoding."""
        known = {
            coding.strip().lower()
            for coding, _, weight in (each.partition(";") for each in accepted.split(","))
            if not _REFUSED.fullmatch(weight.strip())
        }
        for coding, form in (("br", self.brotli), ("gzip", self.packed)):
            if form is not None and coding in known:
                return form, coding, f'{self.etag[:-1]}-{coding[0]}"'
        return self.data, "", self.etag


def make_file(data: bytes, kind: str) -> File:
    """With its ETag, and packed if it is text."""
    packed = (
        gzip.compress(data, 6, mtime=0) if len(data) > 1000 and kind.startswith(("text/", "application/j")) else None
    )
    return File(data, kind, f'"{hashlib.sha256(data).hexdigest()[:24]}"', packed)


class Pages:
    """``shells`` are the folders with the daemon's pages, the first that has one wins; ``files`` is all of ``web/``."""

    def __init__(self, shells: Sequence[Path], files: Path) -> None:
        self._shells = tuple(shells)
        self._files = files.resolve()
        self._kept: dict[tuple[str, str], tuple[int, File]] = {}

    def find(self, path: str) -> File | None:
        """What lies at this address; None if nothing does."""
        page = _PAGE.fullmatch(path)
        if page:
            return self._page(page[1], page[2])
        locale = _LOCALE.fullmatch(path)
        if locale:
            return make_file(orjson.dumps(dict(_words(locale[1])), option=orjson.OPT_SORT_KEYS), "application/json")
        file = _FILE.fullmatch(path)
        return self._file(file[1]) if file else None

    def language_of(self, path: str) -> str | None:
        """The language that a page's address names."""
        parts = path.split("/", 3)
        return parts[2] if len(parts) == 4 and parts[1] == "ui" and parts[2] in LANGUAGES else None

    def _page(self, language: str, name: str) -> File | None:
        for folder in self._shells:
            shell = folder / f"{name}.htm"
            if shell.is_file():
                return self._keep(shell, language, lambda data: make_file(_filled(data, language), _HTML))
        return None

    def _file(self, name: str) -> File | None:
        path = (self._files / name.lstrip("/")).resolve()
        kind = _KINDS.get(path.suffix.lower()) or ("text/plain; charset=utf-8" if path.name == "LICENSE" else None)
        if kind is None or not path.is_relative_to(self._files) or not path.is_file():
            return None
        return self._keep(path, "", lambda data: _packed_before(path, make_file(data, kind), name))

    def _keep(self, path: Path, language: str, make: Callable[[bytes], File]) -> File:
        stamp = path.stat().st_mtime_ns
        kept = self._kept.get((str(path), language))
        if kept is None or kept[0] != stamp:
            kept = self._kept[str(path), language] = (stamp, make(path.read_bytes()))
        return kept[1]


def _packed_before(path: Path, file: File, name: str) -> File:
    """What has its hash in its name is for ever, and its packed forms, made as small as can be, lie beside it."""
    if not _LASTING.fullmatch(name):
        return file
    forms: dict[str, Any] = {}
    for key, suffix in (("packed", ".gz"), ("brotli", ".br")):
        beside = path.with_name(path.name + suffix)
        if beside.is_file():
            forms[key] = beside.read_bytes()
    return evolve(file, lasting=True, **forms)


def bare_page(language: str, sentence: str, **fields: object) -> bytes:
    """A page that stands without files: nothing at this address, too large cookies, not yet open."""
    try:
        text, link = say(language, sentence, **fields), say(language, "To the start page")
    except ConfigError:
        text, link = sentence.format_map(fields), "To the start page"
    return _BARE_PAGE.format(lang=language, sentence=escape(text), link=escape(link)).encode()


def _filled(shell: bytes, language: str) -> bytes:
    def fill(hole: re.Match[str]) -> str:
        return language if hole[1] == "lang" else escape(say(language, hole[2]))

    return _HOLE.sub(fill, shell.decode("utf-8")).encode()


def _words(language: str) -> dict[str, str]:
    try:
        return dict(for_browsers(language))
    except (ConfigError, OSError):
        return {}
