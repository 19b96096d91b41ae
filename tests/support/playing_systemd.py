#!/usr/bin/env python3
"""Plays systemd for one service: starts it exactly as its unit says, and hears what it tells (sd_notify(3)).

For tests, and as a script where there is no systemd, such as a chroot; it needs nothing but Python and, for the filter
of system calls, libseccomp2:

    playing_systemd.py /lib/systemd/system/charging-manager.service [--listen main=443] [-- COMMAND TO RUN MEANWHILE]

That starts the service, waits for READY=1, runs the command, reloads, waits for READY=1 again and for WATCHDOG=1, stops
the service, and ends with 0 if all of it went as systemd would have it.

As root it makes the sandbox too, by namespaces and a filter; what it could not make stands in ``left_out`` with the
reason. Never made: device rules (DevicePolicy=, which are cgroups'), keyrings, RestrictRealtime=, RestrictSUIDSGID=.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import errno
import grp
import json
import os
import pwd
import resource
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STRANGER = 64_998
"""Who runs it where the unit's user does not exist: nobody else's number on Debian."""
_PLACES = {"State": "var/lib", "Runtime": "run", "Configuration": "etc", "Cache": "var/cache", "Logs": "var/log"}
_LISTEN_FIRST = 3


class Unit:
    """A unit file: ``one`` gives a setting, ``many`` all words of one that may stand several times."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sections: dict[str, dict[str, list[str]]] = {}
        section: dict[str, list[str]] = {}
        for line in path.read_text("utf-8").replace("\\\n", " ").splitlines():
            line = line.strip()
            if line.startswith("[") and line.endswith("]"):
                section = self._sections.setdefault(line[1:-1], {})
            elif line and line[0] not in "#;":
                key, _, value = line.partition("=")
                found = section.setdefault(key.strip(), [])
                if value.strip():
                    found.append(value.strip())
                else:
                    found.clear()

    def one(self, key: str, default: str = "", section: str = "Service") -> str:
        found = self._sections.get(section, {}).get(key)
        return found[-1] if found else default

    def many(self, key: str, section: str = "Service") -> list[str]:
        return [word for value in self._sections.get(section, {}).get(key, []) for word in shlex.split(value)]

    def lines(self, key: str, section: str = "Service") -> list[str]:
        return list(self._sections.get(section, {}).get(key, []))

    def is_on(self, key: str) -> bool:
        return self.one(key) in ("yes", "true", "on", "1")

    def seconds(self, key: str, default: float) -> float:
        """A span in seconds, the only way our units write it."""
        return float(self.one(key, str(default)))


class Player:
    """One service. ``root`` stands before its state, runtime and configuration directories.

    ``programs`` replaces a path's beginning in ExecStart, as in ``("/usr/lib/charging-manager/bin", BIN)``;
    ``listening`` are sockets by FileDescriptorName; ``needed`` are folders that the service needs and that an installed
    one would not have in a home: they stay, where the sandbox hides the rest.
    """

    def __init__(
        self,
        unit: Path,
        root: Path = Path("/"),
        *,
        programs: tuple[str, str] | None = None,
        words: Sequence[str] = (),
        listening: Mapping[str, socket.socket] | None = None,
        environment: Mapping[str, str] | None = None,
        needed: Sequence[Path] = (),
        sandbox: bool = True,
    ) -> None:
        self.unit, self.root = Unit(unit), root
        command = shlex.split(self.unit.one("ExecStart"))
        if programs is not None:
            command[0] = command[0].replace(*programs)
        self.command = [*command, *words]
        self.listening = dict(listening or {})
        self._environment = dict(environment or {})
        self._needed = [Path(__file__).resolve(), *needed]
        self._sandbox = sandbox
        self.heard: list[tuple[float, dict[str, str]]] = []
        self.journal: list[tuple[int, str]] = []
        self.left_out: dict[str, str] = {}
        self._changed = threading.Condition()
        self._notify: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None

    # -- starting and ending -----------------------------------------------------------------------------------------

    def __enter__(self) -> Player:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def directories(self) -> dict[str, Path]:
        """By the environment variable that names it to the service."""
        return {
            f"{kind.upper()}_DIRECTORY": self.root / place / names[0]
            for kind, place in _PLACES.items()
            if (names := self.unit.many(f"{kind}Directory"))
        }

    def start(self) -> None:
        """Make the directories, and begin."""
        uid, gid, groups = self._who()
        writable: list[str] = []
        readable: list[str] = []
        for name, path in self.directories().items():
            kind = name.removesuffix("_DIRECTORY").capitalize()
            made = not path.is_dir()
            path.mkdir(parents=True, exist_ok=True)
            if made or kind != "Configuration":
                path.chmod(int(self.unit.one(f"{kind}DirectoryMode", "0755"), 8))
            (readable if kind == "Configuration" else writable).append(str(path))
            if kind != "Configuration" and os.geteuid() == 0:
                for inside in (path, *path.rglob("*")):
                    os.chown(inside, uid, gid, follow_symlinks=False)
        name = f"\0playing-systemd-{secrets.token_hex(8)}"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(name)
        ours, theirs = socket.socketpair()
        report, reporting = os.pipe()
        stream = os.fstat(theirs.fileno())
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "NOTIFY_SOCKET": name.replace("\0", "@", 1),
            "JOURNAL_STREAM": f"{stream.st_dev}:{stream.st_ino}",
            "INVOCATION_ID": secrets.token_hex(16),
            **{name: str(path) for name, path in self.directories().items()},
            **dict(each.split("=", 1) for each in self.unit.many("Environment")),
            **self._environment,
        }
        if self._watch_s:
            environment["WATCHDOG_USEC"] = str(round(self._watch_s * 1e6))
        workplace = self.unit.one("WorkingDirectory", "/")
        state = self.directories().get("STATE_DIRECTORY")
        order = {
            "command": self.command,
            "environment": environment,
            "ids": [uid, gid, groups],
            "nofile": int(self.unit.one("LimitNOFILE", "0")),
            "umask": int(self.unit.one("UMask", "0022"), 8),
            "workplace": str(state) if state is not None and workplace.startswith("/var/lib/") else workplace,
            "writable": writable,
            "needed": [*map(str, self._needed), *readable],
            "report": reporting,
            "listening": {name: each.fileno() for name, each in self.listening.items()},
            "sandbox": self._wanted_sandbox(),
            "calls": self._calls() if self._sandbox else None,
            "families": self.unit.many("RestrictAddressFamilies"),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-I", __file__, "--carry-out", json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            pass_fds=[reporting, *(each.fileno() for each in self.listening.values())],
            start_new_session=True,
        )
        theirs.close()
        os.close(reporting)
        with os.fdopen(report, "rb") as told:
            said = told.read()
        self.left_out |= json.loads(said) if said else {}
        threading.Thread(target=self._listen, args=(self._notify,), daemon=True).start()
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after TimeoutStopSec=. Returns: its status, negative for a signal."""
        assert self.process is not None and self._notify is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        return self.wait(self.unit.seconds("TimeoutStopSec", 90))

    def wait(self, within_s: float) -> int:
        """Until it ends by itself. Raises: AssertionError when it does not; it is killed then."""
        assert self.process is not None and self._notify is not None
        try:
            status = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end within {within_s} s:\n{self.output}") from None
        self._reader.join(5)
        return status

    def reload(self) -> None:
        """What ExecReload= says."""
        assert self.process is not None
        words = self.unit.one("ExecReload").replace("$MAINPID", str(self.process.pid))
        subprocess.run(shlex.split(words), check=True)

    def begins_anew(self, status: int) -> bool:
        """Whether systemd would start it again after it ended so by itself (Restart=always alone is known here)."""
        assert self.unit.one("Restart") == "always"
        return str(status) not in self.unit.many("RestartPreventExitStatus")

    # -- what is heard -----------------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        return "\n".join(f"<{priority}>{text}" for priority, text in self.journal)

    @property
    def status(self) -> str:
        """The newest STATUS=."""
        return next((told["STATUS"] for _, told in reversed(self.heard) if "STATUS" in told), "")

    def count(self, key: str) -> int:
        """How often that was said."""
        return sum(key in told for _, told in tuple(self.heard))

    def wait_for(self, condition: Callable[[], object], within_s: float = 30.0) -> None:
        """Looks whenever something is heard. Raises: AssertionError with all that was."""
        until_s = time.monotonic() + within_s
        with self._changed:
            while not condition():
                left_s = until_s - time.monotonic()
                ended = self.process is not None and self.process.poll() is not None
                if left_s <= 0 or (ended and not self._reader.is_alive() and not condition()):
                    raise AssertionError(f"not within {within_s} s; heard {self.heard}\n{self.output}")
                self._changed.wait(min(left_s, 0.2))

    def wait_ready(self, times: int = 1, within_s: float | None = None) -> None:
        """READY=1 was said so often; a unit's TimeoutStartSec= unless told otherwise."""
        limit_s = self.unit.seconds("TimeoutStartSec", 90) if within_s is None else within_s
        self.wait_for(lambda: self.count("READY") >= times, limit_s)

    @property
    def _watch_s(self) -> float:
        return self.unit.seconds("WatchdogSec", 0)

    def _listen(self, notify: socket.socket) -> None:
        while True:
            data = notify.recv(65_536)
            told = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            with self._changed:
                self.heard.append((time.monotonic(), told))
                self._changed.notify_all()

    def _read(self, ours: socket.socket) -> None:
        level = 6
        with ours, ours.makefile("r", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                text = line.rstrip("\n")
                marked = len(text) > 2 and text[0] == "<" and text[2] == ">" and text[1].isdigit()
                with self._changed:
                    self.journal.append((int(text[1]), text[3:]) if marked else (level, text))
                    self._changed.notify_all()

    # -- what the unit wants -----------------------------------------------------------------------------------------

    def _who(self) -> tuple[int, int, list[int]]:
        user, group = self.unit.one("User"), self.unit.one("Group")
        if os.geteuid() != 0:
            self.left_out["User"] = "only root can start it as somebody else"
            return os.getuid(), os.getgid(), []
        try:
            uid, gid = pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
        except KeyError:
            uid = gid = STRANGER
        groups = [grp.getgrnam(name).gr_gid for name in self.unit.many("SupplementaryGroups")]
        return uid, gid, groups

    def _wanted_sandbox(self) -> list[str]:
        if not self._sandbox:
            return []
        unit = self.unit
        named = ("PrivateTmp", "PrivateDevices", "ProtectHome", "ProtectKernelTunables", "PrivateUsers")
        wanted = [*(key for key in named if unit.is_on(key)), "NoNewPrivileges"]
        wanted += ["ProtectSystem"] if unit.one("ProtectSystem") == "strict" else []
        wanted += ["ProcSubset"] if unit.one("ProcSubset") == "pid" else []
        wanted += ["RestrictNamespaces"] if unit.is_on("RestrictNamespaces") else []
        return [*wanted, *(["CapabilityBoundingSet"] if unit.one("CapabilityBoundingSet") == "" else [])]

    def _calls(self) -> list[str] | None:
        """The system calls that SystemCallFilter= leaves; None: they cannot be known here."""
        filters = self.unit.lines("SystemCallFilter")
        try:
            groups = _call_groups()
        except OSError as error:
            self.left_out["SystemCallFilter"] = f"systemd-analyze is missing ({error.strerror})"
            return None
        if not filters:
            return None
        allowed: set[str] = set()
        for line in filters:
            taken = {call for word in line.removeprefix("~").split() for call in _expand(word, groups)}
            allowed = allowed - taken if line.startswith("~") else allowed | taken
        return sorted(allowed | _expand("@default", groups))


def _become(uid: int, gid: int, groups: Sequence[int]) -> None:
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)


def _call_groups() -> dict[str, set[str]]:
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True
    )
    groups: dict[str, set[str]] = {}
    for line in said.stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            groups[word] = current = set()
        elif word and line.startswith(" ") and not word.startswith("#"):
            current.add(word)
    return groups


def _expand(word: str, groups: Mapping[str, set[str]]) -> set[str]:
    if not word.startswith("@"):
        return {word}
    return {call for inside in groups[word] for call in _expand(inside, groups)}


# -- in the new process, before it becomes the service ---------------------------------------------------------------

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class _Kernel:
    """What Python has no word for. Raises: OSError."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def call(self, name: str, *words: object) -> None:
        if getattr(self._libc, name)(*words) < 0:
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    def mount(self, source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
        self.call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())

    def read_only(self, path: str, on: bool, recursive: bool = True) -> None:
        attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY if on else 0, 0 if on else _ATTR_RDONLY, 0, 0)
        flags = _AT_RECURSIVE if recursive else 0
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        self.call("syscall", _MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, ctypes.byref(attributes), size)


class _CarryOut:
    """Becomes the service. Everything that cannot be made here is reported, and left out."""

    def __init__(self, order: dict) -> None:  # type: ignore[type-arg]
        self.order, self.left_out, self.kernel = order, {}, _Kernel()

    def __call__(self) -> None:
        order = self.order
        names = list(order["listening"])
        kept = [os.dup2(order["listening"][name], 200 + number) for number, name in enumerate(names)]
        report = os.dup2(order["report"], 199, inheritable=False)
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, _LISTEN_FIRST + number)
        os.closerange(_LISTEN_FIRST + len(kept), 199)
        os.closerange(200, 300)
        uid, gid, groups = order["ids"]
        if order["nofile"]:
            most = (order["nofile"], order["nofile"])
            self.try_to("LimitNOFILE", resource.setrlimit, resource.RLIMIT_NOFILE, most)
        wanted = order["sandbox"]
        if wanted and os.geteuid() == 0:
            self.try_to("mount namespace", self.own_mounts, wanted)
            if "CapabilityBoundingSet" in wanted:
                self.try_to("CapabilityBoundingSet", self.drop_capabilities)
        elif wanted:
            self.left_out["mount namespace"] = "only root can make one"
        seccomp = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
        if os.geteuid() == 0 and not self.may_read(uid, gid, groups):
            self.left_out["User"] = "the programs may not be read by others"
            uid = 0
        elif os.geteuid() == 0:
            map_users = self.mapper(uid, gid) if "PrivateUsers" in wanted else None
            _become(uid, gid, groups)
            if map_users is not None:
                self.try_to("PrivateUsers", map_users)
        elif wanted:
            self.left_out["PrivateUsers"] = "only root can make one that knows root"
        if "NoNewPrivileges" in wanted:
            self.kernel.call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.umask(order["umask"])
        os.chdir(order["workplace"])
        environment = order["environment"]
        if "WATCHDOG_USEC" in environment:
            environment["WATCHDOG_PID"] = str(os.getpid())
        if names:
            environment |= {
                "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names),
            }  # fmt: skip
        if order["calls"]:
            self.try_to("SystemCallFilter", self.filter_calls, seccomp)
        os.write(report, json.dumps(self.left_out).encode())
        os.close(report)
        os.execve(order["command"][0], order["command"], environment)

    def may_read(self, uid: int, gid: int, groups: Sequence[int]) -> bool:
        """Whether that user could run the program."""
        child = os.fork()
        if child == 0:
            _become(uid, gid, groups)
            os._exit(0 if all(os.access(path, os.R_OK) for path in (self.order["command"][0], __file__)) else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def try_to(self, what: str, work: Callable[..., None], *words: object) -> None:
        try:
            work(*words)
        except (OSError, ValueError) as error:
            self.left_out[what] = str(error)

    def own_mounts(self, wanted: Sequence[str]) -> None:
        kernel, writable = self.kernel, self.order["writable"]
        hidden: list[str] = []
        kernel.call("unshare", _NEWNS)
        kernel.mount("none", "/", flags=_REC | _PRIVATE)
        held = {path: os.open(path, os.O_PATH) for path in [*writable, *self.order["needed"]]}
        devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _DEVICES if Path(f"/dev/{name}").exists()}
        if "PrivateTmp" in wanted:
            hidden += self.hide(("/tmp", "/var/tmp"), "mode=1777")
        if "ProtectHome" in wanted:
            hidden += self.hide(("/home", "/root", "/run/user"), "mode=0755")
        for path, descriptor in held.items():
            if path in writable or any(Path(path).is_relative_to(folder) for folder in hidden):
                target = Path(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.mkdir(exist_ok=True) if Path(f"/proc/self/fd/{descriptor}").is_dir() else target.touch()
                kernel.mount(f"/proc/self/fd/{descriptor}", path, flags=_BIND)
            os.close(descriptor)
        if "ProtectSystem" in wanted:
            kernel.read_only("/", True)
            for path in ("/dev", "/proc", "/tmp", "/var/tmp"):
                kernel.read_only(path, False, recursive=False)
            for path in writable:
                kernel.read_only(path, False)
        if "PrivateDevices" in wanted:
            kernel.mount("tmpfs", "/dev", "tmpfs", _NOSUID | _NOEXEC, "mode=0755")
            for name, descriptor in devices.items():
                Path(f"/dev/{name}").touch()
                kernel.mount(f"/proc/self/fd/{descriptor}", f"/dev/{name}", flags=_BIND)
            kernel.read_only("/dev", True, recursive=False)
        for descriptor in devices.values():
            os.close(descriptor)
        if "ProtectKernelTunables" in wanted:
            kernel.read_only("/sys", True)
        if "ProcSubset" in wanted:
            kernel.mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC, "subset=pid,hidepid=invisible")

    def hide(self, folders: Sequence[str], data: str) -> list[str]:
        """Empty folders in their place. Returns: those that there were."""
        found = [folder for folder in folders if Path(folder).is_dir()]
        for folder in found:
            self.kernel.mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, data)
        return found

    def drop_capabilities(self) -> None:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text()) if Path("/proc/sys").exists() else 40
        for number in range(last + 1):
            self.kernel.call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)

    def mapper(self, uid: int, gid: int) -> Callable[[], None]:
        """Makes a namespace of users in which root and that one are themselves, and all others nobody.

        A child that stays root writes the map; it waits until there is something to be mapped.
        """
        me = os.getpid()
        unshared, begin = os.pipe()
        written, end = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(unshared, 1)
            try:
                for kind, number in (("gid", gid), ("uid", uid)):
                    Path(f"/proc/{me}/{kind}_map").write_text(f"0 0 1\n{number} {number} 1\n")
                os.write(end, b"+")
            finally:
                os._exit(0)

        def map_users() -> None:
            os.close(end)
            self.kernel.call("unshare", _NEWUSER)
            os.write(begin, b"+")
            done = os.read(written, 1)
            os.waitpid(child, 0)
            for descriptor in (unshared, begin, written):
                os.close(descriptor)
            if not done:
                raise OSError(errno.EPERM, "the map of users could not be written")

        return map_users

    def filter_calls(self, library: str) -> None:
        """libseccomp(3): what is not allowed fails with EPERM; sockets of other families with EAFNOSUPPORT."""
        seccomp = ctypes.CDLL(library, use_errno=True)
        seccomp.seccomp_init.restype = ctypes.c_void_p

        def fails(number: int) -> ctypes.c_uint32:
            return ctypes.c_uint32(0x00050000 | number)

        def add(action: ctypes.c_uint32, call: str, *compared: tuple[int, int, int, int]) -> None:
            number = seccomp.seccomp_syscall_resolve_name(call.encode())
            if number == -1:
                return
            array = (_Compared * len(compared))(*compared)
            done = seccomp.seccomp_rule_add_array(context, action, number, len(compared), array)
            if done < 0 and done not in (-errno.EDOM, -errno.EEXIST):
                raise OSError(-done, f"{call}: {os.strerror(-done)}")

        allow = ctypes.c_uint32(0x7FFF0000)
        context = ctypes.c_void_p(seccomp.seccomp_init(fails(errno.EPERM)))
        calls = set(self.order["calls"])
        if "RestrictNamespaces" in self.order["sandbox"]:
            calls -= {"unshare", "setns", "clone3"}
            add(fails(errno.ENOSYS), "clone3")
        families = [getattr(socket, name) for name in self.order["families"]]
        if families:
            calls.discard("socket")
            for family in families:
                add(allow, "socket", (0, 4, family, 0))
        for call in sorted(calls):
            add(allow, call)
        done = seccomp.seccomp_load(context)
        if done < 0:
            raise OSError(-done, f"seccomp_load: {os.strerror(-done)}")


class _Compared(ctypes.Structure):
    """struct scmp_arg_cmp; operator 4 is SCMP_CMP_EQ."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


# -- as a script -----------------------------------------------------------------------------------------------------


def listen(port: int, host: str = "::") -> socket.socket:
    """As a socket unit with BindIPv6Only=both does."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    bound.bind((host, port))
    bound.listen(4096)
    return bound


def main() -> int:
    if sys.argv[1:2] == ["--carry-out"]:
        _CarryOut(json.loads(sys.argv[2]))()
    parser = argparse.ArgumentParser(description="Plays systemd for one service.")
    parser.add_argument("unit", type=Path)
    parser.add_argument("--root", type=Path, default=Path("/"), help="stands before the service's directories")
    parser.add_argument("--listen", action="append", default=[], metavar="NAME=PORT", help="as a socket unit would")
    parser.add_argument("--no-sandbox", action="store_true")
    parser.add_argument("meanwhile", nargs="*", metavar="COMMAND")
    asked = parser.parse_args()
    listening = {name: listen(int(port)) for name, _, port in (each.partition("=") for each in asked.listen)}
    status = 0
    player = Player(asked.unit, asked.root, listening=listening, sandbox=not asked.no_sandbox)
    player.start()
    try:
        player.wait_ready()
        print("ready:", player.status, flush=True)
        for what, why in player.left_out.items():
            print(f"left out: {what}: {why}")
        if asked.meanwhile:
            status = subprocess.run(asked.meanwhile, check=False).returncode
            print("meanwhile:", status, flush=True)
        player.reload()
        player.wait_ready(2)
        alive = player.count("WATCHDOG")
        player.wait_for(lambda: player.count("WATCHDOG") > alive, player.unit.seconds("WatchdogSec", 30))
        print("reloaded, alive:", player.status, flush=True)
    except AssertionError as error:
        print(error, file=sys.stderr)
        status = 1
    finally:
        ended = player.stop()
        print("stopped:", ended, "STOPPING said:", bool(player.count("STOPPING")))
        print(player.output, file=sys.stderr)
    return status if ended in (0, -signal.SIGTERM) and player.count("STOPPING") else 1


if __name__ == "__main__":
    sys.exit(main())
