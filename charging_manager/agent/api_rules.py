"""Rules over the API: the whole list at once, what of it holds now, and what would hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson
from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem, known_mode
from charging_manager.agent.api_shapes_rules import KIND, VERSION, RulesBody, TryBody, rules_of, shown_rule
from charging_manager.agent.config import Configuration, check_configuration
from charging_manager.agent.people import People
from charging_manager.agent.rule_schema import rules_schema
from charging_manager.agent.ruledoubts import doubts
from charging_manager.agent.rules_tried import holding_now, tried
from charging_manager.agent.running import RunningSite
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.model.rule import Rule
from charging_manager.model.rulecheck import MOST_RULES

_LARGEST = 768 * 1024
"""200 rules with ten conditions each and a hundred names; less than a relayed request may hold."""


@frozen
class RulePages:
    """The routes of ``/rules``. Rules only lower, so that they may be changed from afar."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        path = "/api/v1/rules"
        return [
            Route("GET", path, Right.ADMIN, self.show, "All rules, and what looks like a mistake", answer=dict),
            Route(
                "PUT",
                path,
                Right.ADMIN,
                self.change,
                "The rules, all of them, in their order",
                body=RulesBody,
                answer=dict,
                body_limit=_LARGEST,
            ),
            Route("GET", f"{path}.json", Right.ADMIN, self.download, "All rules as a file", answer=dict),
            Route("GET", f"{path}/schema", Right.ADMIN, self.schema, "The JSON schema of that file", answer=dict),
            Route("GET", f"{path}/now", Right.ADMIN, self.now, "Which rules hold now, and for whom", answer=dict),
            Route(
                "POST",
                f"{path}/check",
                Right.ADMIN,
                self.check,
                "What PUT would change; nothing is changed",
                body=RulesBody,
                answer=dict,
                body_limit=_LARGEST,
            ),
            Route(
                "POST",
                f"{path}/try",
                Right.ADMIN,
                self.what_if,
                "Which rules would hold, for whom, at another time or with other facts; nothing is changed",
                body=TryBody,
                answer=dict,
                body_limit=_LARGEST,
            ),
        ]

    async def show(self, call: Call) -> Any:
        return shown(self.site.config.current, call.caller.language)

    async def download(self, call: Call) -> Any:
        return Answer(exported(self.site.config.current), filename="rules.json")

    async def schema(self, call: Call) -> Any:
        return rules_schema()

    async def now(self, call: Call) -> Any:
        return holding_now(self.site.steering.last)

    async def change(self, call: Call) -> Any:
        body: RulesBody = call.body

        def changed(config: Configuration) -> Configuration:
            if body.revision is not None and body.revision != revision_of(config.rules):
                raise Problem(
                    409, "changed-meanwhile", "Somebody has changed the rules meanwhile; load them again.", "revision"
                )
            return evolve(config, rules=_checked(body))

        before = self.site.config.current.rules
        config = await field_problem(self.site.config.change(changed), str)
        changes = differences(before, config.rules)
        if any(changes.values()):
            detail = "; ".join(
                f"{key} {', '.join(each['name'] for each in some)}" for key, some in changes.items() if some
            )
            self.people.note(call.caller, "rules-changed", "", detail[:500])
        return shown(config, call.caller.language)

    async def check(self, call: Call) -> Any:
        body: RulesBody = call.body
        config = self.site.config.current

        async def judged() -> Configuration:
            return check_configuration(evolve(config, rules=_checked(body)))

        new = await field_problem(judged(), str)
        return {**shown(new, call.caller.language), "changes": differences(config.rules, new.rules)}

    async def what_if(self, call: Call) -> Any:
        body: TryBody = call.body
        config = self.site.config.current

        async def wished() -> Configuration:
            if body.rules is None:
                return config
            return check_configuration(evolve(config, rules=_checked(RulesBody(body.rules))))

        new = await field_problem(wished(), str)
        cycle = self.site.steering.last
        if cycle is None:
            raise Problem(503, "not-yet", "Nothing has been decided yet; try again in a moment.")
        return tried(body, new, evolve(cycle.image, site=new.site(self.site.serial)))


def _checked(body: RulesBody) -> tuple[Rule, ...]:
    """The body's rules, as far as they can be judged without the rest of the configuration."""
    if body.kind is not None and body.kind != KIND:
        raise ConfigError("kind", "this is no file of rules; choose one that was exported from the page of rules")
    if body.version is not None and not 1 <= body.version <= VERSION:
        raise ConfigError("version", "these rules come from a newer version of the program; update it first")
    if len(body.rules) > MOST_RULES:
        raise ConfigError("rules", "there may be {count} rules at most; join some, or remove some", count=MOST_RULES)
    for number, each in enumerate(body.rules):
        if each.mode is not None:
            try:
                known_mode(each.mode.value)
            except Problem as problem:
                problem.where = f"rules.{number}.mode"
                raise
    return rules_of(body.rules)


def shown(config: Configuration, language: str) -> dict[str, Any]:
    """The rules as JSON; what comes back by PUT changes nothing."""
    return {
        "rules": [shown_rule(rule) for rule in config.rules],
        "revision": revision_of(config.rules),
        "warnings": [doubt.said(language) for doubt in doubts(config)],
    }


def exported(config: Configuration) -> dict[str, Any]:
    """The file that another site, or this one later, can take."""
    return {
        "kind": KIND,
        "version": VERSION,
        "site": config.name,
        "rules": [shown_rule(rule) for rule in config.rules],
    }


def revision_of(rules: Iterable[Rule]) -> str:
    """Changes whenever a rule does."""
    return hashlib.sha256(orjson.dumps([shown_rule(rule) for rule in rules])).hexdigest()[:16]


def differences(old: tuple[Rule, ...], new: tuple[Rule, ...]) -> dict[str, list[dict[str, Any]]]:
    """Rules that are new, gone or different, by ID; of different ones the fields. Another order is a difference too."""
    before, after = {rule.id: rule for rule in old}, {rule.id: rule for rule in new}
    changed = []
    for name in before.keys() & after.keys():
        one, other = shown_rule(before[name]), shown_rule(after[name])
        fields = [key for key, value in other.items() if one[key] != value]
        if fields:
            changed.append({"id": name, "name": other["name"], "fields": fields})
    kept = [rule.id for rule in new if rule.id in before]
    moved = [] if kept == [rule.id for rule in old if rule.id in after] else kept
    return {
        "added": [{"id": rule.id, "name": rule.name} for rule in new if rule.id not in before],
        "removed": [{"id": rule.id, "name": rule.name} for rule in old if rule.id not in after],
        "changed": sorted(changed, key=lambda each: list(after).index(each["id"])),
        "moved": [{"id": name, "name": after[name].name} for name in moved],
    }
