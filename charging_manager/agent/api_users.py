"""Users over the API: who may log in with an ID of their own, and from where."""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem, named
from charging_manager.agent.api_shapes import LEFT_OUT_PRIORITY, UserBody, UserChange
from charging_manager.agent.config import Configuration, UserSettings, id_from_name
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.http.qr import qr_rows
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.http.userids import new_user_id


@frozen
class UserPages:
    """The routes under ``/users``."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        one = "/api/v1/users/{id}"
        return [
            Route("GET", "/api/v1/users", Right.ADMIN, self.listing, "All users", answer=dict),
            Route(
                "POST",
                "/api/v1/users",
                Right.ADMIN,
                self.add,
                "Add a user; the answer holds the user's ID, which is never shown again",
                body=UserBody,
                answer=dict,
                statuses=(201,),
            ),
            Route("GET", one, Right.ADMIN, self.show, "One user", answer=dict),
            Route("PUT", one, Right.ADMIN, self.change, "Change a user", body=UserChange, answer=dict),
            Route("DELETE", one, Right.ADMIN, self.remove, "Remove a user", statuses=(204,)),
            Route(
                "POST",
                f"{one}/new-id",
                Right.ADMIN,
                self.new_id,
                "Give the user another ID; the old one ends",
                answer=dict,
            ),
        ]

    async def listing(self, call: Call) -> Any:
        return {"users": [shown(user) for user in self.site.config.current.users.values()]}

    async def show(self, call: Call) -> Any:
        return shown(self._found(call))

    async def add(self, call: Call) -> Any:
        body: UserBody = call.body
        secret = new_user_id()
        made: list[UserSettings] = []

        def added(config: Configuration) -> Configuration:
            name = body.id or id_from_name(body.name, config.users, "user")
            if name in config.users:
                raise Problem(409, "duplicate", "There is a user with the ID {id} already.", "id", id=name)
            user = UserSettings(
                id=name,
                name=body.name.strip(),
                remote=body.remote,
                charge_points=tuple(dict.fromkeys(body.charge_points)),
                language=body.language,
                priority=body.priority,
                id_hash=self.people.hash_of(secret),
            )
            made.append(user)
            return evolve(config, users={**config.users, name: user})

        await field_problem(self.site.config.change(added))
        self.people.note(call.caller, "user-added", made[-1].id)
        return Answer({**shown(made[-1]), "user_id": secret, "qr": qr_rows(secret)}, status=201)

    async def change(self, call: Call) -> Any:
        body: UserChange = call.body
        user = self._found(call)
        if body.id is not None and body.id != user.id:
            raise Problem(422, "id-fixed", "The ID of a user in the list cannot be changed.", "id")

        def changed(config: Configuration) -> Configuration:
            old = config.users.get(user.id, user)
            boxes = tuple(dict.fromkeys(body.charge_points)) if body.charge_points is not None else old.charge_points
            new = evolve(
                old,
                name=named(body.name, old.name),
                remote=body.remote if body.remote is not None else old.remote,
                charge_points=boxes,
                language=body.language if body.language is not None else old.language,
                priority=body.priority if body.priority != LEFT_OUT_PRIORITY else old.priority,
            )
            return evolve(config, users={**config.users, user.id: new})

        config = await field_problem(self.site.config.change(changed))
        if user.remote and not config.users[user.id].remote:
            await self.people.end_logins(user=user.id, remote=True)
        self.people.note(call.caller, "user-changed", user.id)
        return shown(config.users[user.id])

    async def remove(self, call: Call) -> Any:
        user = self._found(call)

        def removed(config: Configuration) -> Configuration:
            cards = {card: owner for card, owner in config.ocpp.cards.items() if owner != user.id}
            left = {key: one for key, one in config.users.items() if key != user.id}
            return evolve(config, users=left, ocpp=evolve(config.ocpp, cards=cards))

        await field_problem(self.site.config.change(removed))
        await self.people.end_logins(user=user.id)
        self.people.note(call.caller, "user-removed", user.id)
        return Answer(status=204)

    async def new_id(self, call: Call) -> Any:
        user = self._found(call)
        secret = new_user_id()

        def changed(config: Configuration) -> Configuration:
            new = evolve(config.users.get(user.id, user), id_hash=self.people.hash_of(secret))
            return evolve(config, users={**config.users, user.id: new})

        config = await field_problem(self.site.config.change(changed))
        await self.people.end_logins(user=user.id)
        self.people.note(call.caller, "user-new-id", user.id)
        return {**shown(config.users[user.id]), "user_id": secret, "qr": qr_rows(secret)}

    def _found(self, call: Call) -> UserSettings:
        user = self.site.config.current.users.get(call.params["id"])
        if user is None:
            raise Problem(404, "not-found", "There is no user {id}.", id=repr(call.params["id"]))
        return user


def shown(user: UserSettings) -> dict[str, Any]:
    """A user as JSON, without the secret ID."""
    return {
        "id": user.id,
        "name": user.name,
        "remote": user.remote,
        "charge_points": list(user.charge_points),
        "language": user.language,
        "priority": user.priority,
    }
