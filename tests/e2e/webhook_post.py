"""One call of the webhook's poster, over real sockets. For test_webhook.py.

Usage: python -m tests.e2e.webhook_post URL TIMEOUT_S. It prints the status, or the name of what went wrong.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred

from charging_manager.cloud import webhook

reactor: Any = the_reactor


async def call(url: str) -> None:
    try:
        said: object = await webhook.poster(reactor)(url, b'{"events":[]}', {"Content-Type": "application/json"})
    except Exception as error:
        said = type(error).__name__
    print(said, flush=True)
    reactor.callLater(0.05, reactor.stop)


if __name__ == "__main__":
    webhook.TIMEOUT_S = float(sys.argv[2])
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(call(sys.argv[1])))
    reactor.run()
