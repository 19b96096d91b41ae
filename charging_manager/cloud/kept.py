"""What is told of a cloud server's database where backups are compared."""

from __future__ import annotations

from importlib.resources import files

from charging_manager.storage.summary import Kept

CLOUD = Kept(
    database="cloud/cloud.sqlite",
    counts={
        "installations": "SELECT count(*) FROM installations",
        "api-keys": "SELECT count(*) FROM api_key",
        "audit-entries": "SELECT count(*) FROM audit",
    },
    settings={
        "installations": "SELECT cloud_id, created_at FROM installations ORDER BY cloud_id",
        "api-keys": "SELECT name, scopes FROM api_key ORDER BY number",
    },
    documents="SELECT name, value FROM setting",
    newest="SELECT max(at) FROM audit",
    schema=files("charging_manager.cloud.schema"),
)
