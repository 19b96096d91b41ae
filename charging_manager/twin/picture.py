"""A run as a picture (SVG): power, every circuit against its limit, who charged when. Light or dark by the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from attrs import frozen

from charging_manager.twin.account import Point
from charging_manager.twin.box import Box, Stay
from charging_manager.twin.build import DAY_S, Run
from charging_manager.twin.report import Result
from charging_manager.twin.shapes import across, label, path, rect, upright
from charging_manager.twin.weather import local

WIDTH, LEFT, RIGHT = 1220, 150, 20
PLOT = WIDTH - LEFT - RIGHT
MOST_BOXES = 80
MOST_CIRCUITS = 12
STYLE = """
svg { font: 12px system-ui, sans-serif } .paper { fill: #fff } .title { font-size: 16px; font-weight: 600 }
.head { font-weight: 600 } .small { font-size: 11px }
text { fill: #222 } .faint { fill: #667 } .grid { stroke: #ccd; stroke-width: 1 } .frame { fill: #f6f7f9 }
.charging { fill: #2a78c8 } .house { fill: #8a93a3 } .solar { stroke: #c98300; fill: none; stroke-width: 2 }
.battery { stroke: #7a4fb5; fill: none; stroke-width: 1.5; stroke-dasharray: 5 3 }
.limit { stroke: #c0262d; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none }
.l1 { stroke: #8a5a2b } .l2 { stroke: #222 } .l3 { stroke: #7b8794 } .line { fill: none; stroke-width: 1.5 }
.stay { fill: #dde3ec } .now { fill: #1c8f4d }
@media (prefers-color-scheme: dark) {
 .paper { fill: #14171c } text { fill: #e8eaee } .faint { fill: #9aa3b2 }
 .grid { stroke: #333a45 } .frame { fill: #1b2028 }
 .charging { fill: #4b9bec } .house { fill: #6d7686 } .solar { stroke: #f0b429 }
 .battery { stroke: #b08be8 } .limit { stroke: #ff6b70 }
 .l1 { stroke: #d19a66 } .l2 { stroke: #e8eaee } .l3 { stroke: #8fa0b5 } .stay { fill: #2b323d } .now { fill: #3ecf7d }
}
"""


@frozen
class Panel:
    """A strip of the picture with its own scale upwards."""

    top: float
    height: float
    most: float

    def y(self, value: float) -> float:
        return self.top + self.height * (1.0 - min(1.0, max(0.0, value / self.most)))


def draw(run: Run, result: Result, title: str | None = None) -> str:
    """The whole picture."""
    course = result.sums.course
    end_s = run.days * DAY_S
    said = title or result.name
    out: list[str] = []
    top = 40.0
    out += _power(run, course, end_s, top)
    top += 210
    circuits = run.plant.circuits
    for index, name in enumerate(circuits[:MOST_CIRCUITS]):
        out += _circuit(run, course, end_s, top, index, name)
        top += 130
    if len(circuits) > MOST_CIRCUITS:
        out.append(label(f"and {len(circuits) - MOST_CIRCUITS} more circuits", LEFT, top, "faint"))
        top += 24
    out += _boxes(run, course, end_s, top)
    boxes = len(run.plant.boxes)
    top += 60 + min(boxes, MOST_BOXES) * 16 + (20 if boxes > MOST_BOXES else 0)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" width="{WIDTH}" height="{top:.0f}" '
        f'role="img" aria-label="{escape(said)}"><style>{STYLE}</style>'
    )
    return "\n".join([head, rect("paper", 0, 0, WIDTH, top), label(said, LEFT, 22, "title"), *out, "</svg>", ""])


def side_by_side(pictures: Sequence[str]) -> str:
    """Pictures one below the other, in one file."""
    out, top = [], 0
    for each in pictures:
        height = int(each.split(" height=", 1)[1].split('"')[1])
        out.append(each.replace("<svg ", f'<svg y="{top}" ', 1).strip())
        top += height
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">'
    return head + "\n".join(out) + "</svg>\n"


def _x(second: float, end_s: float) -> float:
    return LEFT + PLOT * second / end_s


def _frame(run: Run, panel: Panel, end_s: float, title: str, unit: str, marks: int = 2) -> list[str]:
    out = [rect("frame", LEFT, panel.top, PLOT, panel.height), label(title[:18], 10, panel.top + 14, "head")]
    for mark in range(marks + 1):
        value = panel.most * mark / marks
        y = panel.y(value)
        out.append(across("grid", LEFT, WIDTH - RIGHT, y))
        out.append(label(f"{value:g} {unit}", LEFT - 6, y + 4, "faint", anchor="end"))
    return out + _hours(run, end_s, panel.top, panel.height)


def _hours(run: Run, end_s: float, top: float, height: float) -> list[str]:
    step = 21_600 if end_s > 2 * DAY_S else 10_800 if end_s > 0.6 * DAY_S else 3600
    out, second = [], 0
    while second <= end_s:
        at = local(run.start, second)
        x = _x(second, end_s)
        out.append(upright("grid", x, top, top + height))
        midnight = at.hour == 0 and end_s > DAY_S
        if second < end_s and (end_s <= 2 * DAY_S or midnight):
            said = at.strftime("%a %d") if midnight else at.strftime("%H:%M")
            out.append(label(said, x + 3, top + height + 13, "faint"))
        second += step
    return out


def _steps(points: Sequence[tuple[float, float]], end_s: float, panel: Panel) -> str:
    """A line in steps through (second, value)."""
    found: list[str] = []
    for (second, value), after in zip(points, [*(p[0] for p in points[1:]), end_s], strict=True):
        y = panel.y(value)
        found.append(f"{'L' if found else 'M'}{_x(second, end_s):.1f} {y:.1f}H{_x(after, end_s):.1f}")
    return "".join(found)


def _area(lower: Sequence[float], upper: Sequence[float], course: Sequence[Point], end_s: float, panel: Panel) -> str:
    over = _steps([(p.from_s, v) for p, v in zip(course, upper, strict=True)], end_s, panel)
    back = []
    edges = [*(p.from_s for p in course), end_s]
    for index in range(len(course) - 1, -1, -1):
        y = panel.y(lower[index])
        back.append(f"L{_x(edges[index + 1], end_s):.1f} {y:.1f}H{_x(edges[index], end_s):.1f}")
    return over + "".join(back) + "Z"


def _power(run: Run, course: Sequence[Point], end_s: float, top: float) -> list[str]:
    house = [p.house_w / 1000 for p in course]
    total = [(p.house_w + p.charging_w) / 1000 for p in course]
    lines = {
        "solar": [p.solar_w / 1000 for p in course],
        "battery": [abs(p.storage_w) / 1000 for p in course],
    }
    panel = Panel(top, 170.0, _nice(max([*total, *lines["solar"], *lines["battery"], 1.0])))
    out = _frame(run, panel, end_s, "Power", "kW", 4)
    out.append(path("house", _area([0.0] * len(course), house, course, end_s, panel)))
    out.append(path("charging", _area(house, total, course, end_s, panel)))
    legend = ["house", "charging"]
    for name, values in lines.items():
        if any(values):
            points = [(p.from_s, value) for p, value in zip(course, values, strict=True)]
            out.append(path(name, _steps(points, end_s, panel)))
            legend.append(name)
    for index, name in enumerate(legend):
        y = top + 34 + 18 * index
        out.append(across(name, 10, 24, y - 4) if name in lines else rect(name, 10, y - 10, 14, 12))
        out.append(label(name, 30, y))
    return out


def _circuit(run: Run, course: Sequence[Point], end_s: float, top: float, index: int, name: str) -> list[str]:
    configured = run.plant.configured[name]
    limits = sorted({limit for circuit in configured for limit in circuit.limit_a})
    highest = max((max(p.line_a[3 * index : 3 * index + 3]) for p in course), default=0.0)
    panel = Panel(top, 95.0, _nice(max(highest, *limits) * 1.05))
    out = _frame(run, panel, end_s, configured[-1].name or name, "A")
    for phase in range(3):
        points = [(p.from_s, p.line_a[3 * index + phase]) for p in course]
        kind = f"line l{phase + 1}"
        y = top + 32 + 16 * phase
        out += [path(kind, _steps(points, end_s, panel)), across(kind, 10, 24, y - 4), label(f"L{phase + 1}", 30, y)]
    return out + [across("limit", LEFT, WIDTH - RIGHT, panel.y(limit)) for limit in limits]


def _boxes(run: Run, course: Sequence[Point], end_s: float, top: float) -> list[str]:
    boxes = list(run.plant.boxes.values())
    shown = boxes[:MOST_BOXES]
    out = [label("Cars", 10, top + 4, "head"), rect("stay", LEFT, top - 6, 14, 10)]
    out += [label("plugged in", LEFT + 20, top + 4, "faint"), rect("now", LEFT + 110, top - 6, 14, 10)]
    out.append(label("charging (stronger colour: more)", LEFT + 130, top + 4, "faint"))
    top += 14
    out += _hours(run, end_s, top, 16.0 * len(shown))
    stays: dict[str, list[Stay]] = {}
    for stay in run.plant.stays:
        stays.setdefault(stay.box, []).append(stay)
    edges = [*(p.from_s for p in course), end_s]
    for row, box in enumerate(shown):
        y = top + 16 * row
        out.append(label(box.point.name[:20], 10, y + 12, "small"))
        for stay in stays.get(box.point.id, ()):
            left, right = _x(stay.since_s, end_s), _x(stay.left_s or end_s, end_s)
            said = f"{stay.visit.car}: {stay.delivered_wh / 1000:.1f} of {stay.visit.needs_wh / 1000:.1f} kWh"
            out.append(rect("stay", left, y + 1, max(0.5, right - left), 14, said))
        for shade, same in groupby(enumerate(_shades(box, course, edges)), key=lambda each: each[1]):
            if shade:
                places = [at for at, _ in same]
                left, right = _x(edges[places[0]], end_s), _x(edges[places[-1] + 1], end_s)
                out.append(rect("now", left, y + 3, right - left, 10, shade=0.3 + 0.07 * shade))
    if len(boxes) > len(shown):
        more = f"and {len(boxes) - len(shown)} more charge points"
        out.append(label(more, LEFT, top + 16 * len(shown) + 28, "faint"))
    return out


def _shades(box: Box, course: Sequence[Point], edges: Sequence[float]) -> list[int]:
    """From 0 (nothing) to 10 (all that it can)."""
    most_w = 230.0 * box.point.max_a * len(box.point.phases)
    found = []
    for at, point in enumerate(course):
        share = point.box_wh[box.index] * 3600.0 / (edges[at + 1] - edges[at]) / most_w
        found.append(min(10, int(share * 10) + 1) if share > 0.005 else 0)
    return found


def _nice(value: float) -> float:
    """The next round number above."""
    for step in (
        1,
        2,
        4,
        6,
        8,
        10,
        12,
        16,
        20,
        24,
        32,
        40,
        48,
        60,
        80,
        100,
        120,
        160,
        200,
        240,
        320,
        400,
        600,
        800,
        1000,
    ):
        if value <= step:
            return float(step)
    return value
