"""Raw bytes through agent, cloud server and relay: the expected status each time, and every request counted once.

The cases are a table, ``raw_requests.txt``, which says how it is written. Both daemons are real, and so is TLS.
"""

from __future__ import annotations

import codecs
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from attrs import frozen

from charging_manager.http.passwords import AdminPassword
from tests.support.api import TRUSTING, Browser
from tests.support.processes import daemon, eventually

pytestmark = pytest.mark.e2e

TABLE = Path(__file__).with_name("raw_requests.txt")
SLOWLY = "Slowly"
LAST = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
DRIP_S, ENOUGH_S = 0.3, 40.0
PATIENCE_S = 3.0
"""Only a case that has gone wrong waits so long: all others end by the server's hanging up."""
ADMIN, CLOUD_ADMIN, INSTALLATION = "the site's own password", "the cloud's own password", "password of the tunnel"


@frozen
class Expected:
    """One answer: ``400!``, ``200$``, ``404.`` and so on."""

    status: int
    marks: str

    @property
    def heard(self) -> bool:
        return self.status != 100 and "!" not in self.marks

    @property
    def carried(self) -> bool:
        return self.heard and "." not in self.marks


@frozen
class Case:
    chapter: str
    about: str
    groups: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.chapter}: {self.about}"

    def expected(self, target: int) -> list[Expected]:
        """``target``: 0 the agent, 1 the cloud server, 2 the relay. Empty: no answer at all."""
        found: list[Expected] = []
        for word in self.groups[target].split(","):
            match = re.fullmatch(r"(\d{3})([h$!.]*)(?:\*(\d+))?", word)
            if match:
                found += [Expected(int(match[1]), match[2])] * int(match[3] or 1)
            else:
                assert word in ("-", "x"), self
        return found


def read_table() -> list[Case]:
    cases, chapter = [], ""
    for line in TABLE.read_text("utf-8").split("\n"):
        if line.startswith("## "):
            chapter = line[3:]
        elif line and not line.startswith("#"):
            groups, about, text = line.split("|", 2)
            words = tuple(groups.split())
            assert len(words) in (1, 3), line
            cases.append(Case(chapter, about.strip(), words if len(words) == 3 else words * 3, text[1:]))
    return cases


CASES = read_table()


@frozen
class Target:
    """Who is asked, and how."""

    number: int
    name: str
    port: int
    level: str
    cookie: tuple[str, str]

    def bytes_of(self, text: str) -> bytes:
        """What a case's bytes are here."""
        words = {
            "PUT": "PUT <level> HTTP/1.1¶<H><J>",
            "hidden": "GET <level> HTTP/1.1¶<H>¶",
            "H": "Host: localhost¶Cookie: <cookie>¶",
            "J": "Content-Type: application/json¶",
            "body": '{"level":3}',
            "me": "/api/v1/me",
            "level": self.level,
            "cookie": "=".join(self.cookie),
            "name": self.cookie[0],
            "value": self.cookie[1],
        }
        hidden = len(self.bytes_of("<hidden>")) if "<hidden#" in text else 0
        words |= {"hidden#": str(hidden), "hidden##": f"{hidden:x}", "body#": "11"}
        pattern = re.compile(f"<({'|'.join(map(re.escape, words))})>")
        while pattern.search(text):
            text = pattern.sub(lambda match: words[match[1]], text)
        while re.search(r"<([^<>]*)\*(\d+)>", text):
            text = re.sub(r"<([^<>]*)\*(\d+)>", lambda match: match[1] * int(match[2]), text)
        return codecs.escape_decode(text.replace("¶", "\r\n").encode())[0]  # type: ignore[attr-defined,no-any-return]

    def connect(self) -> ssl.SSLSocket:
        return TRUSTING.wrap_socket(socket.create_connection(("127.0.0.1", self.port), ENOUGH_S))


def all_of(tls: ssl.SSLSocket) -> bytes:
    """What comes until the server hangs up."""
    got = b""
    with suppress(OSError):
        while piece := tls.recv(65_536):
            got += piece
    return got


def heads(data: bytes, expected: list[Expected]) -> list[int]:
    """The status of every answer; each must be whole, and nothing may lie between two."""
    found: list[int] = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
        assert end and match, f"no answer: {head[:100]!r}"
        status = int(match[1])
        marks = expected[len(found)].marks if len(found) < len(expected) else ""
        found.append(status)
        length = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
        if status in (100, 204, 304) or "h" in marks:
            continue
        assert length, f"an answer without a length: {head!r}"
        assert len(data) >= int(length[1]), "an answer that is cut off"
        data = data[int(length[1]) :]
    return found


def told(statuses: list[int]) -> str:
    return ",".join(map(str, statuses)) or "nothing"


def send(target: Target, case: Case) -> str:
    """What is wrong with what came back; empty if nothing is."""
    expected = case.expected(target.number)
    data = target.bytes_of(case.text)
    if stays_open(expected):
        expected = [*expected, Expected(404, "")]
        data += LAST
    with target.connect() as tls:
        with suppress(OSError):  # refused before all of it was sent
            tls.sendall(data)
        if not expected:
            tls.settimeout(0.05)
            with suppress(OSError):
                return f"nothing was to come, and there came {tls.recv(100)!r}"
            return ""
        tls.settimeout(PATIENCE_S)
        got = all_of(tls)
    try:
        statuses = heads(got, expected)
    except AssertionError as error:
        return str(error)
    wanted = [each.status for each in expected]
    return "" if statuses == wanted else f"{told(statuses)} instead of {told(wanted)}"


def drip(target: Target, case: Case, tls: ssl.SSLSocket) -> str:
    """Send slowly until the server has had enough."""
    expected = case.expected(target.number)
    now, _, later = case.text.partition("<drip>")
    with tls:
        tls.sendall(target.bytes_of(now))
        tls.settimeout(DRIP_S)
        got = b""
        for byte in target.bytes_of(later):
            try:
                got += tls.recv(65_536)
                break
            except TimeoutError:
                tls.sendall(bytes([byte]))
            except OSError:
                break
        tls.settimeout(ENOUGH_S)
        got += all_of(tls)
    statuses = heads(got, expected)
    wanted = [each.status for each in expected]
    return "" if statuses == wanted else f"{told(statuses)} instead of {told(wanted)}"


class Meter:
    """Reads a daemon's own counters; its reading is a request too, and is taken off."""

    def __init__(self, port: int, secure: bool, prefix: str) -> None:
        self._connection = Browser(port, secure).open()
        self._prefix = prefix
        self._own = 0

    def read(self) -> tuple[int, int, int]:
        """Requests heard, refused, and relayed."""
        self._own += 1
        self._connection.request("GET", "/metrics")
        text = self._connection.getresponse().read().decode()
        heard, refused, relayed = (
            int(re.findall(rf"^{self._prefix}{name}_total (\d+)$", text, re.MULTILINE)[0])
            for name in ("http_requests", "http_refused", "relayed_requests")
        )
        return heard - self._own, refused, relayed


@frozen
class Street:
    """An agent, a cloud server, and the tunnel between them."""

    targets: list[Target]
    agent: Meter
    cloud: Meter
    logs: list[list[str]]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    with ExitStack() as stack:
        for name, password in (("agent", ADMIN), ("cloud", CLOUD_ADMIN)):
            (folder / name).mkdir(mode=0o700)
            AdminPassword(folder / name / "admin").write(password)
        cloud, cloud_port = stack.enter_context(daemon("cm-cloud", folder / "cloud"))
        agent, agent_port = stack.enter_context(daemon("cm-agent", folder / "agent"))
        here, operator, away = Browser(agent_port, True), Browser(cloud_port, True), Browser(cloud_port, True)
        here.post("/api/v1/login", {"password": ADMIN})
        operator.post("/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
        operator.post("/api/v1/cloud/admin/installations", {"cloud_id": "street", "password": INSTALLATION})
        service = {"enabled": True, "server": f"localhost:{cloud_port}", "cloud_id": "street", "password": INSTALLATION}
        here.put("/api/v1/config/cloud", service)
        eventually(lambda: here.get("/api/v1/config/cloud")["state"] == "connected")
        away.post("/api/v1/cloud/login", {"cloud_id": "street", "secret": ADMIN, "admin": True})

        def target(number: int, name: str, port: int, level: str, browser: Browser, cookie: str) -> Target:
            return Target(number, name, port, level, (cookie, browser.cookies[cookie]))

        level, clouds_level = "/api/v1/log/level", "/api/v1/cloud/admin/log/level"
        yield Street(
            [
                target(0, "agent", agent_port, level, here, "__Host-cm_agent"),
                target(1, "cloud", cloud_port, clouds_level, operator, "__Host-cm_cloud"),
                target(2, "relay", cloud_port, level, away, "__Host-cm_cloud"),
            ],
            Meter(agent_port, False, "charging_manager_"),
            Meter(cloud_port, True, "cm_cloud_"),
            [agent.lines, cloud.lines],
        )


def test_the_table_has_no_case_twice_and_asks_for_no_error_of_ours() -> None:
    assert len(CASES) >= 300
    for what in ([str(case) for case in CASES], [(case.chapter == SLOWLY, case.text) for case in CASES]):
        assert len(what) == len(set(what)), sorted(each for each in what if what.count(each) > 1)
    assert all(each.status < 500 for case in CASES for target in range(3) for each in case.expected(target))


def test_every_case_gets_what_the_table_says_and_every_request_is_counted_once(street: Street) -> None:
    wrong: list[str] = []
    slow: list[tuple[str, Future[str]]] = []
    began = street.agent.read(), street.cloud.read()
    with ThreadPoolExecutor(64) as threads:
        for target in street.targets:
            for case in CASES:
                if case.chapter == SLOWLY:
                    slow.append((f"{target.name}, {case}", threads.submit(drip, target, case, target.connect())))
        # Those that begin with a whole request have been heard before the others are counted.
        heard_first = [
            sum(each.heard for case in CASES if case.chapter == SLOWLY for each in case.expected(number))
            for number in range(3)
        ]
        eventually(
            lambda: (
                street.agent.read()[0] == began[0][0] + heard_first[0]
                and street.cloud.read()[0] == began[1][0] + heard_first[1] + heard_first[2]
            )
        )
        for target in street.targets:
            for chapter in dict.fromkeys(case.chapter for case in CASES if case.chapter != SLOWLY):
                wrong += count(street, target, [case for case in CASES if case.chapter == chapter])
        wrong += [f"{name}: {trouble}" for name, future in slow if (trouble := future.result())]
    assert wrong == [], "\n".join(["", *wrong])
    # Nothing more came in the meantime, and what was refused is exactly what the table has refused.
    refused = [sum("!" in each.marks for case in CASES for each in case.expected(number)) for number in range(3)]
    assert street.agent.read()[1] - began[0][1] == refused[0]
    assert street.cloud.read()[1] - began[1][1] == refused[1] + refused[2]
    assert street.agent.read()[2] - began[0][2] == street.cloud.read()[2] - began[1][2]
    for lines in street.logs:
        assert "by a bug" not in "\n".join(lines) and "Traceback" not in "\n".join(lines)


def count(street: Street, target: Target, cases: list[Case]) -> list[str]:
    """Send these, and compare what both ends have counted since with what the table says; then name the culprits."""
    before = street.agent.read(), street.cloud.read()
    wrong = [f"{target.name}, {case}: {trouble}" for case in cases if (trouble := send(target, case))]
    after = street.agent.read(), street.cloud.read()
    heard = sum(each.heard for case in cases for each in case.expected(target.number))
    heard += sum(stays_open(case.expected(target.number)) for case in cases)  # each gets LAST
    at_agent = target.name == "agent"
    carried = sum(each.carried for case in cases for each in case.expected(target.number))
    wanted = {
        "heard at the agent": heard if at_agent else 0,
        "heard at the cloud": 0 if at_agent else heard,
        "sent through the tunnel": carried if target.name == "relay" else 0,
        "come out of the tunnel": carried if target.name == "relay" else 0,
    }
    (agent_0, cloud_0), (agent_1, cloud_1) = before, after
    counted = (agent_1[0] - agent_0[0], cloud_1[0] - cloud_0[0], cloud_1[2] - cloud_0[2], agent_1[2] - agent_0[2])
    found = dict(zip(wanted, counted, strict=True))
    name = cases[0] if len(cases) == 1 else cases[0].chapter
    wrong += [f"{target.name}, {name}: {found[it]} {it}, not {wanted[it]}" for it in wanted if found[it] != wanted[it]]
    if found != wanted and len(cases) > 1:
        wrong += [trouble for case in cases for trouble in count(street, target, [case])]
    return wrong


def stays_open(expected: list[Expected]) -> bool:
    """Whether the connection takes another request behind these answers."""
    return bool(expected) and not set("$!") & set(expected[-1].marks)
