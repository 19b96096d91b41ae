"""The age format: what we seal opens elsewhere, the other way too, and nothing of it can be changed unnoticed."""

from __future__ import annotations

import io
import os
import pty
import random
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from charging_manager.storage import sealed
from charging_manager.storage.sealed import CHUNK, Broken, Sealing, Unsealing, WrongPassphrase

WORDS = "a few words of mine"
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with patch.object(sealed, "WORK", 10):
        yield


def seal(clear: bytes, work: int = 10) -> bytes:
    out, chance = io.BytesIO(), random.Random(3)
    sealing = Sealing(out, WORDS, work)
    rest = memoryview(clear)
    while rest:
        piece = rest[: chance.randrange(1, 50_000)]
        sealing.write(piece)
        rest = rest[len(piece) :]
    sealing.finish()
    return out.getvalue()


def unseal(data: bytes, words: str = WORDS) -> bytes:
    return io.BufferedReader(Unsealing(io.BytesIO(data), words)).read()


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_opens_again(size: int) -> None:
    clear = os.urandom(size)
    assert unseal(seal(clear)) == clear


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(WrongPassphrase):
        unseal(seal(b"x"), WORDS + " ")


@pytest.mark.parametrize("size", SIZES)
def test_a_cut_a_changed_bit_or_something_behind_it_is_found(size: int) -> None:
    whole, chance = seal(bytes(size)), random.Random(size)
    for length in {0, 1, 30, len(whole) - 1, len(whole) - 17, *(chance.randrange(len(whole)) for _ in range(8))}:
        with pytest.raises((Broken, WrongPassphrase)):
            unseal(whole[: max(0, length)])
    for _ in range(30):
        broken = bytearray(whole)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        with pytest.raises((Broken, WrongPassphrase)):
            unseal(bytes(broken))
    with pytest.raises(Broken):
        unseal(whole + b"x")


def test_every_bit_of_the_header_counts() -> None:
    whole = seal(b"x")
    for at in range(whole.index(b"---") + 48):
        broken = bytearray(whole)
        broken[at] ^= 1
        with pytest.raises((Broken, WrongPassphrase)):
            unseal(bytes(broken))


def test_chunks_cannot_be_moved_left_out_or_taken_for_the_end() -> None:
    whole = seal(bytes(3 * CHUNK + 7))
    body = whole.index(b"\n", whole.index(b"---")) + 1 + 16
    step = CHUNK + 16
    head, chunks = whole[:body], [whole[at : at + step] for at in range(body, len(whole), step)]
    assert len(chunks) == 4
    for order in ([1, 0, 2, 3], [0, 2, 3], [0, 1, 2], [0, 1, 3], [0, 0, 1, 2, 3], [3], [0, 1, 2, 3, 3]):
        with pytest.raises(Broken):
            unseal(head + b"".join(chunks[number] for number in order))


def test_a_stranger_cannot_make_us_work_for_hours() -> None:
    whole = seal(b"x").replace(b" 10\n", b" 30\n")
    with pytest.raises(Broken, match="more work"):
        unseal(whole)


def test_little_is_in_memory() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def write(self, data: object) -> int:
            Endless.taken += len(data)  # type: ignore[arg-type]
            return len(data)  # type: ignore[arg-type]

    sealing = Sealing(Endless(), WORDS, 10)  # type: ignore[arg-type]
    for _ in range(200):
        sealing.write(bytes(100_000))
        assert len(sealing._held) <= CHUNK + 100_000
    assert Endless.taken > 19_000_000


def at_terminal(*command: str) -> None:
    """Run a program that asks for its passphrase at a terminal alone."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    shown = b""
    try:
        while True:
            if not select.select([terminal], [], [], 30)[0]:
                os.kill(pid, signal.SIGKILL)
            piece = os.read(terminal, 1024)
            if not piece:
                break
            shown += piece
            for asked in (b" one): ", b"assphrase: "):
                if asked in shown:
                    shown = b""
                    os.write(terminal, WORDS.encode() + b"\n")
    except OSError:
        pass  # it has ended
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, shown


@pytest.mark.needs("age")
@pytest.mark.parametrize("size", [1, CHUNK, 2 * CHUNK + 5])
def test_age_opens_ours_and_we_open_that_of_age(tmp_path: Path, size: int) -> None:
    clear = os.urandom(size)
    (tmp_path / "clear").write_bytes(clear)
    (tmp_path / "ours").write_bytes(seal(clear))
    at_terminal("age", "-d", "-o", str(tmp_path / "opened"), str(tmp_path / "ours"))
    assert (tmp_path / "opened").read_bytes() == clear
    at_terminal("age", "-p", "-o", str(tmp_path / "theirs"), str(tmp_path / "clear"))
    assert unseal((tmp_path / "theirs").read_bytes()) == clear
    assert subprocess.run(
        ["age", "-d", str(tmp_path / "ours")], stdin=subprocess.DEVNULL, capture_output=True
    ).returncode
