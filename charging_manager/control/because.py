"""Why a charge point has its setpoint: stable codes, and a sentence for each.

The sentences are constant, so that they can be translated; ``{fields}`` come with the code. A field of ``POINTS`` holds
the id of a charge point: who says the sentence puts its name there, or « another charge point » for those who may not
know it. A time is an instant, not a countdown: a reason that changed each second would be told to every open page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from charging_manager.model.plan import Because
from charging_manager.words import say

PHASE_NAMES = ("L1", "L2", "L3")

SENTENCES: Mapping[str, str] = {
    "maximum": "Charging may use all that the charge point allows: {amps} A.",
    "car-takes-less": "The car takes less than it could have; it is offered {amps} A and gets more when it asks.",
    "override": "Held to {amps} A by hand until the car is unplugged.",
    "hardware-maximum": "The charge point itself can do no more than {amps} A, less than was entered for it.",
    "circuit-limit": "The circuit {circuit} is full on {phase}: what its {limit} A leave beside reserve and other loads"
    " is shared fairly (cars: {cars}).",
    "feeder-limit": "Charging on the circuit {circuit} may draw {limit} A on {phase}, shared fairly.",
    "power-limit": "The circuit {circuit} may carry no more than {watts} W in all, shared fairly.",
    "charging-power": "Charging on the circuit {circuit} may draw no more than {watts} W in all, shared fairly.",
    "own-power": "Charging may use all that the charge point allows: {watts} W, which is {amps} A on each phase.",
    "own-power-too-low": "The charge point may draw {watts} W: less than its least of {amps} A on each phase.",
    "dimmed": "The grid operator has dimmed charging here to {watts} W in all.",
    "priority-power": "Charge points of higher priority use the {watts} W that the circuit {circuit} can give.",
    "waiting-power": "Waiting for its turn: the {watts} W of the circuit {circuit} do not give every car its minimum.",
    "first-come": "Others were plugged in earlier; the circuit {circuit} cannot give every car its minimum on {phase}.",
    "circuit-too-low": "The circuit {circuit} allows less than the least that this charge point can do: {amps} A.",
    "priority": "Charge points of higher priority use what the circuit {circuit} can give on {phase}.",
    "overdraft": "The circuit {circuit} was overloaded on {phase} and is held lower until {until}, to cool.",
    "overload": "The circuit {circuit} carries far more than its limit on {phase}; the lowest priority stops.",
    "unbalance": "Charging may differ by no more than {amps} A between phases; {phase} is the bound.",
    "meter-silent": "The meter of the circuit {circuit} is silent; until it is back, charging is held to {amps} A.",
    "waiting-turn": "Waiting: the circuit {circuit} is full on {phase}; {holder} has the turn until {until}.",
    "no-room": "Waiting: of the {limit} A of the circuit {circuit} too little is left on {phase} for another car.",
    "pause": "Paused for want of current; it may start again at {until} at the earliest.",
    "others-first": "Waiting until other charge points have confirmed that they draw less.",
    "rising": "Its share has grown; the setpoint follows in steps.",
    "mode-off": "Switched off.",
    "rule-limit": "Held to {amps} A by the rule {rule}.",
    "rule-off": "Switched off by the rule {rule}.",
    "rule-pause": "Paused by the rule {rule}.",
    "rule-too-low": "The rule {rule} allows {amps} A, less than the least of the charge point, {least} A: paused.",
    "sun-wait": "Waiting for the sun: {watts} W must be left over for {minutes} min.",
    "sun-lasting": "The sun leaves enough; it charges from {until} on if that lasts.",
    "sun-restless": "Clouds come and go; charging between them would take too much from the grid. It waits.",
    "sun-follows": "Follows the sun: {watts} W.",
    "sun-minimum": "At least {amps} A, and more with the sun, which leaves {watts} W.",
    "sun-grace": "Too little sun: it goes on at {amps} A until {until} at the latest.",
    "sun-pause": "Paused for want of sun; it may start again at {until} at the earliest.",
    "sun-others": "Other cars come first and use what the sun leaves.",
    "sun-unknown": "What the sun leaves is not known: the meter of the grid or of a storage battery is silent.",
    "no-grid-meter": "To follow the sun, a meter is needed where the site meets the grid; there is none.",
    "storage-first": "The storage battery is filled first.",
    "phases-switching": "Its phases are being switched to {phases}; it is paused for that.",
    "plan-cheap": "Charging in a cheap time until {time}: {price} {currency} per kWh.",
    "plan-green": "Charging in a green time until {time}: a kWh costs {grams} g of CO2.",
    "plan-waits": "Waiting for a cheaper time: it charges from {time} on.",
    "plan-waits-green": "Waiting for a greener time: it charges from {time} on.",
    "plan-sun": "Waiting for the sun, which will likely give what is missing; else it buys that to be ready by {time}.",
    "plan-measures": "Charging for some seconds to see how much the car takes: its plan is made by that.",
    "plan-must": "It must charge now to be ready by {time}.",
    "plan-late": "It was to be ready by {time} and is not; it charges on until the goal is reached.",
    "plan-reached": "The goal is reached; from now on it charges with sun alone.",
    "plan-no-goal": "No goal is set; it charges with sun alone.",
    "plan-no-prices": "No price is known now; it charges to be ready by {time}.",
    "plan-no-soc": "How full the car is, or how large its battery, is not known: it charges now. Say it on its card.",
    "plan-no-clock": "The time is not known, so it charges now.",
    "plan-soon": "Its plan is being made.",
    "goal-not-in-time": "Not in time: charging as fast as it can, it will have {kwh} kWh by {time}.",
    "no-car": "No car is plugged in.",
    "fault": "The charge point reports a fault.",
    "status-unknown": "The charge point does not say whether a car is plugged in.",
    "silent": "The charge point does not answer; what it may draw at worst is kept free.",
    "out-of-service": "Out of service.",
}


POINTS = ("holder",)
"""Fields that hold the id of a charge point, in the words of every sentence here."""
ANOTHER_SENTENCE = "another charge point"


def sentence(because: Because, language: str = "en", name_of: Callable[[str], str | None] = str) -> str:
    """The reason in words. ``name_of`` gives a charge point's name by its id, or None to those who may not know it."""
    return say(language, SENTENCES[because.code], **named_fields(because, language, name_of))


def named_fields(
    because: Because, language: str, name_of: Callable[[str], str | None]
) -> Mapping[str, str | float | int]:
    """The fields with names in place of ids."""
    if not any(key in because.fields for key in POINTS):
        return because.fields
    return {
        key: (name_of(str(value)) or say(language, ANOTHER_SENTENCE)) if key in POINTS else value
        for key, value in because.fields.items()
    }
