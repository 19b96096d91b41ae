#!/usr/bin/env python3
"""Bring the browser libraries into this folder: run it to update, then look at the diff.

A bare specifier ("preact") needs an import map, which is an inline script, which our content security policy forbids.
So each one is rewritten to a relative path. Source-map comments point at files that we do not carry; they go.
Needs npm and a network; nothing else in the project does, and the results are committed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# package, version, {file in the package: file here}
PACKAGES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "preact",
        "11.2.0",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js", "LICENSE": "preact.LICENSE"},
    ),
    ("htm", "3.1.1", {"dist/htm.mjs": "htm.js", "LICENSE": "htm.LICENSE"}),
    (
        "@preact/signals-core",
        "1.14.5",
        {"dist/signals-core.mjs": "signals-core.js", "LICENSE": "signals-core.LICENSE"},
    ),
    ("@preact/signals", "2.11.4", {"dist/signals.mjs": "signals.js", "LICENSE": "signals.LICENSE"}),
)
PLACES = {
    "preact": "./preact.js",
    "preact/hooks": "./hooks.js",
    "htm": "./htm.js",
    "@preact/signals-core": "./signals-core.js",
}
_IMPORT = re.compile(r"""(\b(?:from|import)\s*)(["'])([^"'./][^"']*)\2""")
_SOURCE_MAP = re.compile(r"\n?//# sourceMappingURL=\S*\s*$")


def made_local(source: str) -> str:
    """The module with relative imports and without its source-map comment. Raises: KeyError on an unknown package."""
    return _SOURCE_MAP.sub("", _IMPORT.sub(lambda m: f'{m[1]}"{PLACES[m[3]]}"', source)).rstrip() + "\n"


def manifest(folder: Path) -> str:
    """One line a file, as ``sha256sum`` writes and checks it."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".js", ".LICENSE"))
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def fetch(name: str, version: str, wanted: dict[str, str], folder: Path) -> None:
    """Unpack the wanted files of one package into this folder."""
    packed = subprocess.run(  # noqa: S603
        ["npm", "pack", "--silent", f"{name}@{version}"],  # noqa: S607
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    with tarfile.open(folder / packed.stdout.strip()) as archive:
        for inside, here in wanted.items():
            member = archive.extractfile(f"package/{inside}")
            if member is None:
                raise SystemExit(f"{name} {version} has no file {inside}; look into the package")
            text = member.read().decode()
            (HERE / here).write_text(made_local(text) if here.endswith(".js") else text)


def fetch_all() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        for name, version, wanted in PACKAGES:
            fetch(name, version, wanted, Path(temporary))
    (HERE / "MANIFEST.sha256").write_text(manifest(HERE))
    return 0


if __name__ == "__main__":
    sys.exit(fetch_all())
