"""Lines as strace 6.1 writes them with -f -y -xx, and what they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.disk import Copy, Create, Remove, Rename, Resize, Sync, Write
from tests.torture.trace import Committed, Event, NotUnderstood, Sent, events

FOLDER, MARKS = Path("/d"), Path("/marks")
ODD = b"(\x00)"
MARK = "records.db 0ab\n"


def x(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "".join(f"\\x{byte:02x}" for byte in data)


def read(*lines: str) -> list[Event]:
    return list(events(lines, [FOLDER], MARKS))


def test_writes_sizes_and_syncs() -> None:
    assert read(
        f'7  openat(AT_FDCWD<{x("/")}>, "{x("/d/a")}", O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = 3<{x("/d/a")}>',
        f'7  pwrite64(3<{x("/d/a")}>, "{x(ODD)}", 3, 32)   = 3',
        f'7  write(3<{x("/d/a")}>, "{x("abc")}", 3) = 2',
        f"7  ftruncate(3<{x('/d/a')}>, 5)     = 0",
        f"7  fdatasync(3<{x('/d/a')}>)        = 0",
        f"7  fsync(4<{x('/d')}>)              = 0",
    ) == [
        Create("/d/a"), Resize("/d/a", 0), Write("/d/a", ODD, 32), Write("/d/a", b"ab"), Resize("/d/a", 5),
        Sync("/d/a"), Sync("/d"),
    ]  # fmt: skip


def test_names() -> None:
    assert read(
        f'7  rename("{x("/d/a")}", "{x("/d/b")}") = 0',
        f'7  unlink("{x("/d/b")}")             = 0',
        f'7  unlinkat(5<{x("/d/e")}>, "{x("f")}", 0) = 0',
        f'7  unlinkat(5<{x("/d")}>, "{x("e")}", AT_REMOVEDIR) = 0',
        f'7  unlink("{x("/d/c")}")             = -1 ENOENT (No such file or directory)',
    ) == [Rename("/d/a", "/d/b"), Remove("/d/b"), Remove("/d/e/f")]


def test_a_file_that_the_kernel_copied() -> None:
    line = f"7  sendfile(7<{x('/d/c')}>, 6<{x('/d/b')}>, [3] => [5], 8388608) = 2"
    assert read(line) == [Copy("/d/c", "/d/b", 3, 2)]


def test_a_sync_counts_when_it_has_ended_and_a_packet_when_it_begins_to_leave() -> None:
    packet = b"##0018QN=20261022234002245;ST=32;CN=2011;x&&0000\r\n"
    assert read(
        f"7  fdatasync(3<{x('/d/a')}> <unfinished ...>",
        f'8  sendto(4<{x("socket:[1]")}>, "{x(packet)}", 50, 0, NULL, 0 <unfinished ...>',
        "7  <... fdatasync resumed>)           = 0",
        "8  <... sendto resumed>)              = 50",
    ) == [Sent("20261022234002245", packet), Sync("/d/a")]


def test_marks_answers_to_commands_and_what_is_elsewhere() -> None:
    assert read(
        f'7  write(9<{x("/marks")}>, "{x(MARK)}", 15) = 15',
        f'7  sendto(4<{x("socket:[1]")}>, "{x(b"##0018QN=20261022234002245;ST=91;CN=9011;")}", 40, 0, NULL, 0) = 40',
        f'7  pwrite64(3<{x("/elsewhere")}>, "{x("a")}", 1, 0) = 1',
        f'7  pwrite64(3<{x("/d/a-shm")}>, "{x("a")}", 1, 0) = 1',
    ) == [Committed("records.db", "0ab")]


def test_a_failed_write_changes_nothing() -> None:
    assert read(f'7  pwrite64(3<{x("/d/a")}>, "{x("a")}", 1, 0) = -1 ENOSPC (No space left on device)') == []


def test_a_call_that_the_rig_does_not_know_is_not_passed_over() -> None:
    with pytest.raises(NotUnderstood):
        read(f"7  fallocate(3<{x('/d/a')}>, 0, 0, 4096) = 0")
