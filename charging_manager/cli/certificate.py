"""``charging_manager cloud_cert``: root may read the files while the server itself runs without root."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging_manager.cloud.cert_client import import_certificate


def cloud_cert(arguments: argparse.Namespace) -> int:
    """Hand the pair to the server at the URL. Raises: ConfigError in one sentence; the old pair then stays."""
    data = Path(arguments.data) if arguments.data else None
    print(import_certificate(arguments.url, Path(arguments.certificate), Path(arguments.key), data))
    return 0
