"""Parts of the pages on their own, in the browser that runs them, served with the real policy and no daemon."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from charging_manager.http.headers import page_headers
from charging_manager.http.pages import Pages
from charging_manager.paths import shared
from tests.support.browser import Browser, browser

pytestmark = pytest.mark.e2e


class Files(BaseHTTPRequestHandler):
    """Pages and files as the listener gives them out; there is no API."""

    pages: ClassVar[Pages] = Pages([shared("web") / "agent"], shared("web"))
    data: ClassVar[dict[str, Any]] = {}
    """What the API answers, by path; a stream opens and brings nothing, as behind a proxy that holds it back."""
    over: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/api/v1/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.over.wait(60)
            return
        found = self.pages.find(self.path)
        known = found is not None or self.path in self.data
        answer = json.dumps(self.data.get(self.path, {})).encode()
        data, kind = (found.data, found.kind) if found else (answer, "application/json")
        self.send_response(200 if known else 404)
        for name, value in (*page_headers(False), ("Content-Type", kind), ("Content-Length", str(len(data)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Silent: pytest shows what matters."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Files.over.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as shown:
        yield shown


def run(shown: Browser, base: str, script: str, language: str = "en", *given: object) -> Any:
    shown.driver.get(f"{base}/ui/{language}/setup.htm")
    return shown.module(script, *given)


CUT = """
const { EventCutter } = await load("common/sse.js");
const stream =
  "retry: 5\\r\\n: hello\\nid: 7\\nevent: delta\\ndata: {\\"a\\":\\ndata: 1}\\r\\n\\r\\nid: 8\\ndata: x\\n\\n";
const results = new Set();
for (let size = 1; size <= stream.length; size += 1) {
  const cutter = new EventCutter();
  const events = [];
  for (let at = 0; at < stream.length; at += size) events.push(...cutter.feed(stream.slice(at, at + size)));
  results.add(JSON.stringify(events));
}
return [...results];
"""


def test_events_are_cut_alike_however_they_arrive(chromium: Browser, base: str) -> None:
    expected = [
        {"event": "delta", "data": '{"a":\n1}', "id": "7"},
        {"event": "message", "data": "x", "id": "8"},
    ]
    assert [json.loads(one) for one in run(chromium, base, CUT)] == [expected]


LAID = """
const { withDelta, pictureOf } = await load("common/merge.js");
const circuits = [{ id: "c", used_a: [1, 2, 3] }];
const picture = pictureOf({ site: { name: "a", circuits }, charge_points: [{ id: "p", mode: "off", power_w: 5 }] });
const later = withDelta(picture, {
  site: { time: "now" }, circuits: { c: { used_a: [4, 5, 6] } }, alarms: [{ code: "x" }], unheard: { of: 1 },
});
const changed = withDelta(later, { charge_points: { p: { power_w: 6 } } });
const refused = [];
for (const part of ["circuits", "charge_points", "meters"]) {
  try {
    withDelta(picture, { [part]: { ghost: { power_w: 1 } } });
  } catch (error) {
    refused.push(error instanceof RangeError);
  }
}
return {
  site: later.site, alarms: later.alarms, before: picture.site.circuits[0].used_a,
  samePoints: later.charge_points === picture.charge_points, point: changed.charge_points[0], refused,
};
"""


def test_a_delta_is_laid_over_the_picture_and_what_did_not_change_stays_the_same(chromium: Browser, base: str) -> None:
    found = run(chromium, base, LAID)
    assert found["site"] == {"name": "a", "time": "now", "circuits": [{"id": "c", "used_a": [4, 5, 6]}]}
    assert found["alarms"] == [{"code": "x"}]
    assert found["before"] == [1, 2, 3]
    assert found["samePoints"]
    assert found["point"] == {"id": "p", "mode": "off", "power_w": 6}
    assert found["refused"] == [True, True, True]


FORMATS = """
const f = await load("common/format.js");
return [f.amps(12.345), f.amps(null), f.power(940), f.power(11040), f.power(-0.4), f.energy(12345), f.duration(3725),
  f.typedNumber("12,5"), f.typedNumber(" 7.25 "), Number.isNaN(f.typedNumber("1,2,3")), f.fieldNumber(1234.5)];
"""


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["12.3 A", "–", "940 W", "11.0 kW", "0 W", "12.35 kWh", "1 h 2 min", 12.5, 7.25, True, "1234.5"]),
        ("de", ["12,3 A", "–", "940 W", "11,0 kW", "0 W", "12,35 kWh", "1 h 2 min", 12.5, 7.25, True, "1234,5"]),
        ("fr", ["12,3 A", "–", "940 W", "11,0 kW", "0 W", "12,35 kWh", "1 h 2 min", 12.5, 7.25, True, "1234,5"]),
    ],
)
def test_numbers_read_as_the_language_writes_them(
    chromium: Browser, base: str, language: str, expected: list[Any]
) -> None:
    found = run(chromium, base, FORMATS, language)
    assert [one.replace("\u00a0", " ") if isinstance(one, str) else one for one in found] == expected


PLURALS = """
const { loadWords, t, tn } = await load("common/words.js");
await loadWords();
const of = (n) => tn("{n} device found", "{n} devices found", n);
return [of(0), of(1), of(2), t("Cloud ID"), t("A sentence that nobody translated {x}", { x: 3 })];
"""


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", ["0 devices found", "1 device found", "2 devices found", "Cloud ID"]),
        ("de", ["0 Geräte gefunden", "1 Gerät gefunden", "2 Geräte gefunden", "Cloud-ID"]),
        ("fr", ["0 appareil trouvé", "1 appareil trouvé", "2 appareils trouvés", "ID cloud"]),
    ],
)
def test_plurals_follow_the_language(chromium: Browser, base: str, language: str, expected: list[str]) -> None:
    found = run(chromium, base, PLURALS, language)
    assert found == [*expected, "A sentence that nobody translated 3"]


SERVERS = """
const { isOwnServer } = await load("agent/server.js");
return given[0].map(([server, standard]) => isOwnServer(server, standard));
"""


def test_another_server_than_the_default_one_is_told_apart(chromium: Browser, base: str) -> None:
    cases = {
        ("", ""): False,
        ("  ", "cloud.example"): False,
        ("cloud.example", "cloud.example"): False,
        ("https://Cloud.Example:4443/", "cloud.example"): False,
        ("cloud.example", "cloud.example:4443"): False,
        ("cloud.example:444", "cloud.example"): True,
        ("other.example", "cloud.example"): True,
        ("192.168.1.7:4443", ""): True,
        ("[::1]:4443", ""): True,
    }
    found = run(chromium, base, SERVERS, "en", [list(case) for case in cases])
    assert dict(zip(cases, found, strict=True)) == cases


FLOW = """
const { flows } = await load("agent/flow.js");
const point = (power_w, status = "charging") => ({ id: "p", status, power_w });
const meter = (role, power_w) => ({ id: role, role, power_w });
const shown = (points, meters) =>
  Object.fromEntries(flows({ charge_points: points, meters }).map((row) => [row.key, [row.watts, row.partly ?? null]]));
return [
  shown([point(4000), point(2000)], [meter("grid", 5000), meter("solar", -3000)]),
  shown([point(4000), point(null, "offline")], [meter("grid", 5000)]),
  shown([point(4000)], [meter("grid", null), meter("solar", -3000)]),
  shown([point(0)], [meter("grid", -1000), meter("solar", -1500), meter("storage", 200)]),
];
"""


def test_the_house_is_what_remains_and_unknown_stays_unknown(chromium: Browser, base: str) -> None:
    whole, partly, blind, feeding = run(chromium, base, FLOW)
    assert whole == {"grid": [5000, None], "solar": [3000, None], "charging": [6000, False], "house": [2000, None]}
    assert partly == {"grid": [5000, None], "charging": [4000, True], "house": [None, None]}
    assert blind["house"] == [None, None]
    assert blind["grid"] == [None, None]
    assert feeding["house"] == [300, None]


TIGHT = """
const { tightest, asTree } = await load("agent/circuits.js");
const circuit = (id, parent, free_a, limit_a = [32, 32, 32]) => ({ id, parent, limit_a, free_a, used_a: [0, 0, 0] });
const circuits = [
  circuit("garage", "main", [9, 0.5, 9]), circuit("main", null, [3, 7, 20]),
  circuit("dead", "main", [0, 0, 0], [0, 0, 0]), circuit("blind", "lost", [null, null, null]),
];
const found = tightest(circuits);
const tree = asTree(circuits).map(([one, depth]) => [one.id, depth]);
return [found.circuit.id, found.phase, found.free_a, tree, tightest([])];
"""


HELD = """
const { heldBack } = await load("agent/circuits.js");
const circuit = (used_a, free_a) => ({ limit_a: [35, 35, 35], reserve_a: 3, used_a, free_a });
return [heldBack(circuit([20, 36, 10], [12, 0, 2.5])), heldBack(circuit([null, 20, 20], [null, null, 11.95]))];
"""


def test_what_is_neither_reserve_nor_used_nor_free_is_held_back(chromium: Browser, base: str) -> None:
    assert run(chromium, base, HELD) == [[None, None, 19.5], [None, None, None]]


def test_the_tightest_phase_is_named_and_the_tree_keeps_everybody(chromium: Browser, base: str) -> None:
    name, phase, free_a, tree, nothing = run(chromium, base, TIGHT)
    assert (name, phase, free_a) == ("garage", 1, 0.5)
    assert tree == [["main", 0], ["garage", 1], ["dead", 1], ["blind", 0]]
    assert nothing is None


IDS = """
const { idFor } = await load("agent/deviceform.js");
const names = ["Garage links", "Großer Stellplatz Nº 2!", "Garage", "車", "x".repeat(80)];
return names.map((name) => idFor(name, ["garage", "garage-2"]));
"""


def test_short_names_are_made_of_names(chromium: Browser, base: str) -> None:
    assert run(chromium, base, IDS) == ["garage-links", "grosser-stellplatz-no-2", "garage-3", "device", "x" * 28]


PASSWORDS = """
const { proposedPassword } = await load("cloud/proposal.js");
return Array.from({ length: 200 }, () => proposedPassword());
"""


def test_proposed_passwords_are_long_different_and_easy_to_copy(chromium: Browser, base: str) -> None:
    passwords = run(chromium, base, PASSWORDS)
    assert len(set(passwords)) == 200
    assert {len(one) for one in passwords} == {20}
    letters = set("".join(passwords))
    assert not letters & set("0O1lI"), "characters that people confuse"
    assert len(letters) == 57, "all others come"


CHANGES = """
const { changesBetween } = await load("agent/sitechanges.js");
const circuit = (changes) => ({
  id: "main", name: "Main", parent: null, limit_a: [32, 32, 32], reserve_a: 1, fallback_a: 6, meter: "grid", ...changes,
});
const site = (unbalance_a, ...circuits) => ({ name: "Home", unbalance_a, circuits });
const meters = [{ id: "grid", name: "Grid meter" }];
const word = (one) => one.raises && one.word;
const between = (a, b) => changesBetween(a, b, meters).map((one) => [one.what, one.old, one.new, word(one)]);
return [
  between(site(20, circuit({})), site(20, circuit({}))),
  between(site(20, circuit({})), site(null, circuit({ limit_a: [40, 25, 32], reserve_a: 0, meter: null }))),
  between(site(20, circuit({})), site(20)),
];
"""


def test_changes_of_a_site_are_listed_old_and_new_and_say_what_is_raised(chromium: Browser, base: str) -> None:
    none, several, removed = json.loads(json.dumps(run(chromium, base, CHANGES)).replace("\\u00a0", " "))
    assert none == []
    assert several == [
        ["Unbalance limit", "20.0 A", "–", "raised"],
        ["Main: meter", "Grid meter", "none", False],
        ["Main: limit L1", "32.0 A", "40.0 A", "raised"],
        ["Main: limit L2", "32.0 A", "25.0 A", False],
        ["Main: reserve", "1.0 A", "0.0 A", "lowered"],
    ]
    assert removed == [["Main", "32.0 A / 32.0 A / 32.0 A", "removed", False]]


API = {"major": 1, "features": ["mode:off", "mode:fast"]}
POINT = {
    "id": "one",
    "name": "Carport",
    "status": "charging",
    "mode": "fast",
    "setpoint_a": 12.5,
    "current_a": [12.1, 12.2, 12.3],
    "power_w": 8300,
    "session_wh": 1500,
    "because": {
        "code": "maximum",
        "sentence": "Charging may use all that the charge point allows: {amps} A.",
        "fields": {"amps": 12.5},
    },
}


def test_a_stream_that_is_held_back_makes_way_for_polling(chromium: Browser, base: str) -> None:
    Files.data = {
        "/api/v1/me": {"role": "user", "user": "u", "remote": False, "language": "de", "api": API},
        "/api/v1/state": {"site": {"name": "Home"}, "charge_points": [POINT], "cloud": {}, "cycle": {}, "api": API},
    }
    chromium.driver.get(f"{base}/ui/de/overview.htm")
    chromium.until(lambda: chromium.all('[data-point="one"]'), 60)
    assert "Der Live-Datenstrom kommt nicht durch" in chromium.text(".banner")
    assert chromium.text(".because") == "Das Laden darf alles nutzen, was der Ladepunkt zulässt: 12,5 A."
    Files.data["/api/v1/state"]["charge_points"][0] = {**POINT, "power_w": 4200}
    chromium.until(lambda: chromium.text('[data-value="power"]') == "4,2 kW")


def test_another_major_number_of_the_api_says_which_side_to_update(chromium: Browser, base: str) -> None:
    Files.data = {
        "/api/v1/me": {
            "role": "admin",
            "user": None,
            "remote": True,
            "language": "en",
            "api": {"major": 2, "features": []},
        }
    }
    chromium.open(f"{base}/ui/en/overview.htm")
    assert "Update the cloud server." in chromium.text()
    assert chromium.all("[data-point]") == []
