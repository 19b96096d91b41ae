"""What a circuit's breaker bears beyond its limit, for as long as it surely does: IEC 60898-1, curves B and C.

Theory of operation. The standard (table 7) asks of a breaker, from cold and at 30 °C:

* it carries its rated current In for ever, and 1.13 In for 1 h (2 h above 63 A) without tripping;
* it trips at 1.45 In within that time, and at 2.55 In within 1 to 60 s (120 s above 32 A): it may, after 1 s;
* it trips at once from 3 In (B) or 5 In (C) on.

Between these points each make is another, so we reckon with the worst that passes: a body that warms like
``dh/dt = (x² - h) / tau`` with x = I / In, and trips at h = 1. It carries In for ever, and tau is such that 1.13 In
from cold takes it to 1 in exactly 1 h: no breaker that passes the test trips sooner. One that was at 0.95 In before
bears 1.13 In for 12 min, one that was at In for hours bears nothing more; that is why nothing is promised of hot ones.
Above 1.13 In the standard promises a second or so, which is nothing to us: then it counts as hot at once.

While it is cool, the circuit's limit counts 1.13 times (never more than that of its own ``limit_a``, which may lie
below In for the cable's sake), and only so that nobody is throttled by a short peak: raising goes by the limit itself.
When it is hot the limit is the limit, what flows above it is an overdraft at once, and it must cool well below before
it bears anything again. What was not measured heats it fully. The curve makes no difference within these bounds.
"""

from __future__ import annotations

import math

from charging_manager.control.memory import Heat
from charging_manager.control.rules import Rules
from charging_manager.model.site import Breaker

TWO_HOURS_ABOVE_A = 63.0
GAP_S = 30.0
"""After so long without a decision nobody knows what flowed."""


def tau_s(breaker: Breaker, rules: Rules) -> float:
    """The time constant with which 1.13 In from cold is borne for the conventional time, and no longer."""
    conventional_s = rules.bear_s * (2.0 if breaker.rated_a > TWO_HOURS_ABOVE_A else 1.0)
    square = rules.bear * rules.bear
    return conventional_s / math.log(square / (square - 1.0))


def warmed(breaker: Breaker, heat: float, flow_a: float, for_s: float, rules: Rules) -> float:
    """The heat after such a flow for so long; the flow that lies above what is borne makes it hot at once."""
    x = flow_a / breaker.rated_a
    if not x <= rules.bear:  # nor if it is not a number
        return 1.0
    x = max(0.0, x)
    return min(1.0, x * x + (heat - x * x) * math.exp(-for_s / tau_s(breaker, rules)))


def watch(breaker: Breaker, past: Heat | None, flow_a: float, now: float, rules: Rules) -> Heat:
    """One phase after the newest reading of its flow: between two of them the higher one counts."""
    if past is None or not 0.0 <= now - past.at_s <= GAP_S:
        return Heat(1.0, now, flow_a)
    heat = warmed(breaker, past.heat, max(past.flow_a, flow_a), now - past.at_s, rules)
    if not flow_a <= rules.bear * breaker.rated_a:
        heat = 1.0
    return Heat(heat, now, flow_a, heat < (rules.hot if past.bears else rules.cool))
