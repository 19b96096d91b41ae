"""Why a charge point has its setpoint: stable codes, and a sentence for each.

The sentences are constant, so that they can be translated; ``{fields}`` come with the code.
"""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.model.plan import Because
from charging_manager.words import say

PHASE_NAMES = ("L1", "L2", "L3")

SENTENCES: Mapping[str, str] = {
    "maximum": "Charging may use all that the charge point allows: {amps} A.",
    "car-takes-less": "The car takes less than it could have; it is offered {amps} A and gets more when it asks.",
    "override": "Held to {amps} A by hand until the car is unplugged.",
    "circuit-limit": "The circuit {circuit} allows no more on {phase}: its limit is {limit} A, shared fairly.",
    "priority": "Charge points of higher priority use what the circuit {circuit} can give on {phase}.",
    "overdraft": "The circuit {circuit} was overloaded on {phase} and is held lower for {minutes} min, to cool.",
    "overload": "The circuit {circuit} carries far more than its limit on {phase}; the lowest priority stops.",
    "unbalance": "Charging may differ by no more than {amps} A between phases; {phase} is the bound.",
    "meter-silent": "The meter of the circuit {circuit} is silent; until it is back, charging is held to {amps} A.",
    "waiting-turn": "Waiting for its turn: the circuit {circuit} cannot give every car its minimum on {phase}.",
    "pause": "Paused for want of current; it may start again in {minutes} min at the earliest.",
    "others-first": "Waiting until other charge points have confirmed that they draw less.",
    "rising": "Its share has grown; the setpoint follows in steps.",
    "mode-off": "Switched off.",
    "rule-off": "Switched off by the rule {rule}.",
    "rule-pause": "Paused by the rule {rule}.",
    "mode-not-available": "This mode is not available yet; charging is off.",
    "no-car": "No car is plugged in.",
    "fault": "The charge point reports a fault.",
    "status-unknown": "The charge point does not say whether a car is plugged in.",
    "silent": "The charge point does not answer; what it may draw at worst is kept free.",
    "out-of-service": "Out of service.",
}


def sentence(because: Because, language: str = "en") -> str:
    """The reason in words."""
    return say(language, SENTENCES[because.code], **because.fields)
