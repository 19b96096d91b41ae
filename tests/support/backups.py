"""Backups as older versions made them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from charging_manager.storage.backup import MANIFEST


def without_daemons(file: Path) -> None:
    """Once the manifest did not say of which daemon a backup is."""
    with tarfile.open(file, "r:gz") as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    manifest = json.loads(members[MANIFEST])
    del manifest["daemons"]
    members[MANIFEST] = json.dumps(manifest).encode()
    with tarfile.open(file, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
