#!/usr/bin/python3
"""The pages as packages ship them: ``bundle.py WEB TARGET``.

Every page's modules become one file, packed beforehand, with its content's hash in its name: browsers keep it for ever,
and a new version has another name. The shells name these files. Needs Debian's esbuild and brotli; gives the same bytes
each time.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ESBUILD = ("esbuild", "--minify", "--charset=utf8", "--legal-comments=none", "--log-level=warning")
_NAMED = re.compile(r'"/ui/files/([^"]+)"')
_PRELOADS = re.compile(r'^ *<link rel="modulepreload"[^\n]*\n', re.MULTILINE)
_TEXTS = {".js", ".css", ".svg"}


def bundled(web, shell):
    """Every file that the shell names, and what takes its place: name to bytes."""
    made = {}
    for name in sorted(set(_NAMED.findall(_PRELOADS.sub("", shell)))):
        source = web / name
        if name.endswith(".js"):
            is_module = f'type="module" src="/ui/files/{name}"' in shell
            kind = ("--bundle", "--format=esm") if is_module else ()
            made[name] = made_by(*ESBUILD, *kind, "--target=es2022", str(source))
        elif name.endswith(".css"):
            made[name] = made_by(*ESBUILD, str(source))
        else:
            made[name] = source.read_bytes()
    return made


def made_by(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def lay(folder, name, data):
    """Write it, and its packed forms; returns its new name."""
    path = Path(name)
    new = f"bundle/{path.parent.name}-{path.stem}-{hashlib.sha256(data).hexdigest()[:16]}{path.suffix}"
    target = folder / new
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        if path.suffix in _TEXTS:
            target.with_name(target.name + ".gz").write_bytes(gzip.compress(data, 9, mtime=0))
            subprocess.run(("brotli", "--best", "--no-copy-stat", str(target)), check=True)
    return new


def bundle(web, target):
    """All shells of ``web`` and what they need, in ``target``, which is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    for source in sorted(web.glob("*/*.htm")):
        shell = source.read_text("utf-8")
        names = {name: lay(target, name, data) for name, data in bundled(web, shell).items()}
        shell = _NAMED.sub(lambda match, names=names: f'"/ui/files/{names[match[1]]}"', _PRELOADS.sub("", shell))
        place = target / source.relative_to(web)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(shell, "utf-8")


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), Path(sys.argv[2]))
