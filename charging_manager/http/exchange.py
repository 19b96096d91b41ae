"""One request, from its checked head to its answer."""

# twisted.web.http is not typed.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.http import datetimeToString

from charging_manager.http.facts import RequestFacts, changes_something, is_foreign, raw_request, read_facts
from charging_manager.http.hardening import HardenedRequest
from charging_manager.http.headers import data_headers, download_as, page_headers
from charging_manager.http.heads import Head
from charging_manager.http.health import PATHS as HEALTH
from charging_manager.http.pages import File, bare_page
from charging_manager.http.problems import bug, problem_answer
from charging_manager.http.routes import Answer, Caller, Problem, Role, Stream
from charging_manager.http.streams import BrowserSink, Pieces, drop
from charging_manager.words import LANGUAGES, best_language

if TYPE_CHECKING:
    from charging_manager.http.web import WebSite

_AT_ONCE = 65_536


class WebRequest(HardenedRequest):
    """Decides between page and data, asks the front, and writes status, headers and body."""

    site: WebSite
    _log = Logger()

    def process(self) -> None:
        self.site = self.channel.site
        self.site.tally.heard += 1
        self.gone = False
        self.notifyFinish().addErrback(self._lost)
        head = self.head
        self.secure = self.channel.isSecure()
        self.facts = facts = read_facts(head, self.channel.peer, self.secure, self.site.cookies)
        self.path_only, _, _ = head.target.partition("?")
        waiting = self.site.front.prepare(facts)
        if waiting is None:
            self._begin_answer(head, facts)
        else:
            waiting.addCallback(lambda _: self._begin_answer(head, facts))

    def _begin_answer(self, head: Head, facts: RequestFacts) -> None:
        if self.gone:
            return
        try:
            self._dispatch(head, facts)
        except Exception:
            self._log.failure("{method} {path} failed by a bug", method=head.method, path=self.path_only)
            self._send_problem(bug())

    def _dispatch(self, head: Head, facts: RequestFacts) -> None:
        if not self.secure and not self.site.allow_http and not facts.loopback:
            self._redirect(f"https://{head.host}{head.target}", 308)
            return
        is_health = self.path_only in HEALTH
        closed = None if is_health else self.site.front.closed_to(facts)
        is_data = is_health or self.path_only.startswith("/api/") or self.path_only == "/metrics"
        if closed is not None:
            if is_data:
                self._send_problem(closed)
            else:
                self._send_bare(closed.status, closed.sentence, **closed.fields)
        elif head.headers.get("service-worker", "").lower() == "script":
            self._send_problem(Problem(403, "no-service-worker", "no service worker is given out here"))
        elif is_data:
            if is_foreign(head, self.secure):
                self._send_problem(Problem(403, "foreign-origin", "this request was sent by a page of another site"))
            else:
                self._ask_front(head, facts)
        elif changes_something(head):
            self._send_bare(405, "there is nothing to change at this address", ("Allow", "GET, HEAD"))
        elif self.path_only == "/":
            self._lead_on(facts)
        else:
            elsewhere = self.site.front.detour(self.path_only, facts)
            if elsewhere is not None:
                self._redirect(elsewhere, 303)
            else:
                self._send_file(self.site.pages.find(self.path_only))

    def _ask_front(self, head: Head, facts: RequestFacts) -> None:
        caller = self.site.front.caller_of(facts)
        raw = raw_request(head, self.content.getvalue())
        answering = Deferred.fromCoroutine(self.site.front.answer(raw, caller, facts))
        answering.addCallback(self._send, caller)
        answering.addErrback(self._failed, caller)

    def _failed(self, reason: Any, caller: Caller) -> None:
        self._log.failure("{path} failed by a bug", failure=reason, path=self.path_only)
        if not self.startedWriting:
            problem = bug()
            self._send(problem_answer(problem, caller.language), caller)

    def _send(self, answer: Answer | Stream, caller: Caller) -> None:
        if self.gone:
            if isinstance(answer, Stream):
                drop(answer)
            return
        headers = data_headers(self._hsts())
        if answer.filename:
            headers.append(download_as(answer.filename))
        if isinstance(answer, Stream):
            self._send_stream(answer, caller, headers)
            return
        if answer.allow:
            headers.append(("Allow", answer.allow))
        lines = []
        if answer.login is not None:
            lines.append(self.site.cookies.set_login(answer.login, self.secure))
        if answer.device is not None:
            lines.append(self.site.cookies.set_device(answer.device, self.secure))
        if answer.logout:
            lines.append(self.site.cookies.clear_login(self.secure))
        self.responseHeaders.setRawHeaders(b"Set-Cookie", lines)
        self._reply(answer.status, answer.content_type, answer.body, headers)

    def _send_stream(self, stream: Stream, caller: Caller, headers: list[tuple[str, str]]) -> None:
        self._begin(stream.status, stream.content_type, headers)
        if self.method == b"HEAD":
            drop(stream)
            self.finish()
            return
        self.write(b"")
        sink = BrowserSink(self, self.site.clock)
        forget = self.site.keep_stream(caller.login or "", sink)
        self.notifyFinish().addBoth(lambda _: forget())
        sink.start(stream)

    def _lead_on(self, facts: RequestFacts) -> None:
        caller = self.site.front.caller_of(facts)
        language = best_language(facts.accept_language)
        if caller.role is not Role.NOBODY and caller.language in LANGUAGES:
            language = caller.language
        self._redirect(f"/ui/{language}/{self.site.front.start_page(caller)}.htm", 303)

    def _send_file(self, file: File | None) -> None:
        if file is None:
            self._send_bare(404, "there is nothing at this address")
            return
        headers = page_headers(self._hsts())
        data, coding, etag = file.chosen(self.head.headers.get("accept-encoding", ""))
        caching = "public, max-age=31536000, immutable" if file.lasting else "no-cache"
        headers += [("Cache-Control", caching), ("ETag", etag), ("Vary", "Accept-Encoding")]
        if etag in [each.strip() for each in self.head.headers.get("if-none-match", "").split(",")]:
            self._reply(304, None, b"", headers)
            return
        if coding:
            headers.append(("Content-Encoding", coding))
        self._reply(200, file.kind, data, headers)

    def _send_bare(self, status: int, sentence: str, *more: tuple[str, str], **fields: object) -> None:
        language = self.site.pages.language_of(self.path_only) or best_language(self.facts.accept_language)
        headers = [*page_headers(self._hsts()), ("Cache-Control", "no-store"), *more]
        self._reply(status, "text/html; charset=utf-8", bare_page(language, sentence, **fields), headers)

    def _send_problem(self, problem: Problem) -> None:
        answer = problem_answer(problem, best_language(self.facts.accept_language))
        self._reply(answer.status, answer.content_type, answer.body, data_headers(self._hsts()))

    def _redirect(self, to: str, status: int) -> None:
        headers = [*page_headers(self._hsts()), ("Location", to), ("Cache-Control", "no-store")]
        self._reply(status, "text/plain; charset=utf-8", to.encode(), headers)

    def _reply(self, status: int, kind: str | None, body: bytes, headers: Iterable[tuple[str, str]]) -> None:
        if self.gone:
            return
        self._begin(status, kind, headers)
        if status not in (204, 304):
            self.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
            if len(body) > _AT_ONCE and self.method != b"HEAD":
                BrowserSink(self, self.site.clock).start(Stream(partial(Pieces, body)))
                return
            self.write(body)
        self.finish()

    def _begin(self, status: int, kind: str | None, headers: Iterable[tuple[str, str]]) -> None:
        self.setResponseCode(status, HTTPStatus(status).phrase.encode())
        self.responseHeaders.setRawHeaders(b"Date", [datetimeToString()])
        for name, value in headers:
            self.responseHeaders.addRawHeader(name.encode(), value.encode("latin-1", "replace"))
        if kind is not None and status not in (204, 304):
            self.responseHeaders.setRawHeaders(b"Content-Type", [kind.encode("latin-1", "replace")])

    def _hsts(self) -> bool:
        return self.secure and not self.site.allow_http and self.site.hsts()

    def _lost(self, _: object) -> None:
        self.gone = True
