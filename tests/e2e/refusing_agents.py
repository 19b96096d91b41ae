"""Many agents in one process that refuse every login but one, each after its own time. For test_cloud_admin.py.

Usage: python -m tests.e2e.refusing_agents FOLDER SERVER PASSWORD RIGHT CLOUD_ID=SECONDS... ``connected N`` is printed
when all are; an agent of 9 s or more does not answer in time at all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet import reactor as the_reactor
from twisted.internet.task import deferLater

from charging_manager.agent.uplink import Uplink, UplinkSettings
from charging_manager.tunnel.identity import load_or_make_key
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteStream
from charging_manager.tunnel.reasons import Refusal

reactor: Any = the_reactor


@frozen
class Refusing:
    """``tunnel.link.AgentEnd``."""

    right: str
    after_s: float

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        if login.secret == self.right:
            return RemoteGrant("t" * 43, "admin")
        if self.after_s:
            await deferLater(reactor, self.after_s, lambda: None)
        raise Refusal("refused")

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        return RemoteAnswer(200)

    async def logout(self, token: str) -> None:
        pass


def main(folder: str, server: str, password: str, right: str, *agents: str) -> None:
    key = load_or_make_key(Path(folder) / "key.pem")
    up: set[str] = set()
    for agent in agents:
        cloud_id, _, after_s = agent.partition("=")
        uplink = Uplink(reactor, UplinkSettings(key, True, server, cloud_id, password), Refusing(right, float(after_s)))

        def looked(uplink: Uplink = uplink, cloud_id: str = cloud_id) -> None:
            if uplink.state.value == "connected" and cloud_id not in up:
                up.add(cloud_id)
                if len(up) == len(agents):
                    print(f"connected {len(up)}", flush=True)

        uplink.watch(looked)
        uplink.startService()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
