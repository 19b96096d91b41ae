"""What is told of an agent's database where backups are compared."""

from __future__ import annotations

from importlib.resources import files

from charging_manager.storage.summary import Kept

AGENT = Kept(
    database="agent/agent.db",
    counts={
        "circuits": "SELECT count(*) FROM circuit",
        "charge-points": "SELECT count(*) FROM device WHERE kind = 'charge-point'",
        "other-devices": "SELECT count(*) FROM device WHERE kind != 'charge-point'",
        "users": "SELECT count(*) FROM user",
        "sessions": "SELECT count(*) FROM charging_session",
    },
    settings={
        "site": "SELECT * FROM site",
        "circuits": "SELECT * FROM circuit ORDER BY id",
        "devices": "SELECT * FROM device ORDER BY id",
        "users": "SELECT * FROM user ORDER BY id",
        "cloud": "SELECT * FROM cloud",
        "places": "SELECT * FROM place ORDER BY address",
    },
    documents="SELECT name, value FROM document",
    newest="SELECT max(started_at) FROM charging_session",
    schema=files("charging_manager.agent") / "schema",
)
