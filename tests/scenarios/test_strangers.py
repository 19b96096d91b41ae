"""Stories of boxes that answer and cannot be read: another device is there, or one that refuses while it starts."""

from __future__ import annotations

from attrs import evolve

from charging_manager.control.decide import Rules, decide
from charging_manager.model.plan import Plan, SiteImage
from tests.scenarios.script import SiteScript


def never_read(site: SiteScript, name: str) -> None:
    """This box answers all the time, and nothing that it says is a reading or a confirmation."""

    def decide_without(image: SiteImage, rules: Rules) -> Plan:
        heard = evolve(image.obedience[name], commanded_a=None, confirmed_a=None, fallback_a=None, silent_s=0.2)
        readings = {device: kept for device, kept in image.readings.items() if device != name}
        return decide(evolve(image, obedience={**image.obedience, name: heard}, readings=readings), rules)

    site.world.decide = decide_without


def test_a_box_that_answers_and_was_never_read_stops_nobody_else() -> None:
    site = SiteScript(limit_a=50.0)
    never_read(site, "left")
    site.house(4.0).plug("right").after(60.0)
    site.expect("left", 0.0).expect("right", 14.0)
    assert site.most_a <= 50.0
