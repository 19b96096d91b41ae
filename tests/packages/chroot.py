"""A clean Debian 12 in a folder: made once by debootstrap from the archive that this machine's apt uses, then unpacked.

Each lies in a tmpfs of its own. Programs in it run in namespaces of their own: they end with the first of them, and
reach no network unless asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

SUITE = "bookworm"
CACHE = Path("/var/cache/charging-manager-tests")
_ENTER = """
set -e
mount --make-rprivate /
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount -t tmpfs -o mode=755 tmpfs "$0/run"
[ "$1" = network ] || ip link set lo up
root=$0
shift
exec chroot "$root" "$@"
"""
_UNTOLD = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/cache/", "/var/log/", "/proc/", "/dev/", "/tmp/", "/run/", "/root/")
_BACKUPS = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"}


class Chroot:
    """``run`` does something in it, ``files`` is what is there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self,
        *words: str,
        stdin: str = "",
        network: bool = False,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        within_s: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """As root. Raises: AssertionError with what it said, if it fails and ``check`` is set."""
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--ipc", *([] if network else ["--net"])]
        done = subprocess.run(
            [*apart, "sh", "-c", _ENTER, self.root, "network" if network else "alone", *words],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
                **(env or {}),
            },
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}"
        return done

    def apt(self, *words: str, network: bool = True) -> str:
        """apt-get, which asks no question."""
        return self.run("apt-get", "-q", "-y", "--no-install-recommends", *words, network=network).stdout

    def put(self, source: Path, target: str) -> str:
        """Copy a file into it; ``target`` is how it is called there."""
        place = self.root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        return target

    def files(self) -> dict[str, str]:
        """Every path to what it is: kind, mode, owner, content; without apt's and dpkg's own books."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            for name in folders + names:
                path = Path(folder) / name
                told = "/" + path.relative_to(self.root).as_posix()
                if not f"{told}/".startswith(_UNTOLD):
                    found[told] = _looks(path, told in _BACKUPS)
        return found


def _looks(path: Path, by_name: bool) -> str:
    is_now = path.lstat()
    owned = f"{stat.filemode(is_now.st_mode)} {is_now.st_uid}:{is_now.st_gid}"
    if path.is_symlink():
        return f"{owned} -> {path.readlink()}"
    if not path.is_file() or by_name:
        return owned
    return f"{owned} {hashlib.sha256(path.read_bytes()).hexdigest()}"


@contextlib.contextmanager
def clean_debian(place: Path) -> Iterator[Chroot]:
    """One for the length of a block, in memory."""
    root = place / "debian"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=3G", "tmpfs", root], check=True)
    try:
        subprocess.run(["tar", "--extract", "--numeric-owner", "--file", base(place), "--directory", root], check=True)
        _share(CACHE / "archives", root / "var/cache/apt/archives")
        yield Chroot(root)
        _share(root / "var/cache/apt/archives", CACHE / "archives")
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


def _share(source: Path, target: Path) -> None:
    """What apt has fetched it need not fetch again."""
    target.mkdir(parents=True, exist_ok=True)
    for package in source.glob("*.deb") if source.is_dir() else ():
        if not (target / package.name).exists():
            half = target / f"{os.getpid()}.half"
            shutil.copyfile(package, half)
            half.replace(target / package.name)


def base(place: Path) -> Path:
    """The packed clean system; made if there is none of these sources yet."""
    sources = _sources()
    name = hashlib.sha256("".join(sources).encode()).hexdigest()[:12]
    packed = CACHE / f"{SUITE}-{name}.tar"
    if packed.is_file():
        return packed
    CACHE.mkdir(parents=True, exist_ok=True)
    root = place / "base"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=3G", "tmpfs", root], check=True)
    try:
        mirror = sources[0].split()[0]
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, root, mirror], capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout[-3000:] + made.stderr
        (root / "etc/apt/sources.list").write_text("".join(f"deb {line}\n" for line in sources))
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")  # the installer's work
        Chroot(root).apt("update")
        half = packed.with_suffix(f".{os.getpid()}")
        subprocess.run(["tar", "--create", "--numeric-owner", "--file", half, "--directory", root, "."], check=True)
        half.replace(packed)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)
    return packed


def _sources() -> list[str]:
    """``URI SUITE COMPONENT`` of Debian's own archive, as this machine's apt has them."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)"]
    told = subprocess.run(
        [*asked, "Created-By: Packages", "Origin: Debian"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = sorted({line for line in told if line.split()[1].startswith(SUITE)}, key=lambda line: line.split()[1])
    assert found, f"apt on this machine knows no {SUITE} archive of Debian: apt-get update"
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        base(Path(folder))
