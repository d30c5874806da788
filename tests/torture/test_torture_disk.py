"""The model of a disk, by hand: what each way of losing power leaves of a few writes."""

from __future__ import annotations

import random

import pytest

from tests.torture.disk import (
    WAYS,
    Change,
    Copy,
    Create,
    Disk,
    Operation,
    Remove,
    Rename,
    Resize,
    Sync,
    Way,
    Write,
    blocks,
)


def left(disk: Disk, way: Way, names: int | None = None, seed: int = 1) -> dict[str, bytes]:
    survivors = disk.survivors(lambda path: way, names, random.Random(seed))
    return {each.path: each.content() for each in survivors}


def possible(disk: Disk, way: Way, path: str = "/d/a") -> set[bytes]:
    return {left(disk, way, seed=seed)[path] for seed in range(200)}


def disk_after(*operations: Operation) -> Disk:
    disk = Disk({"/d/a": b"old!"})
    for operation in operations:
        disk.apply(operation)
    return disk


def test_a_write_that_was_not_synced_is_there_or_not() -> None:
    disk = disk_after(Write("/d/a", b"NEW", 1))
    assert left(disk, "kept") == {"/d/a": b"oNEW"}
    assert left(disk, "dropped") == {"/d/a": b"old!"}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_synced_is_there_whatever_happens(way: Way) -> None:
    disk = disk_after(Write("/d/a", b"NEW", 1), Sync("/d/a"))
    assert possible(disk, way) == {b"oNEW"}


def test_writes_reach_the_disk_in_any_order() -> None:
    disk = disk_after(Write("/d/a", b"1", 0), Write("/d/a", b"2", 1))
    assert possible(disk, "reordered") == {b"old!", b"1ld!", b"o2d!", b"12d!"}


def test_a_place_that_was_written_twice_holds_the_old_or_either_content() -> None:
    disk = disk_after(Write("/d/a", b"1", 0), Write("/d/a", b"2", 0))
    assert possible(disk, "reordered") == {b"old!", b"1ld!", b"2ld!"}


def test_a_long_write_is_torn_where_sectors_of_the_file_begin() -> None:
    change = Change(7, 500, bytes(600))
    # the file's sectors begin at 512 and 1024: 12, 512 and 76 bytes
    assert list(blocks(change, 512)) == [(7, 0, 12), (7, 12, 524), (7, 524, 600)]
    assert list(blocks(change, 4096)) == [(7, 0, 600)]


def test_a_torn_write_is_a_beginning_of_it_and_nothing_comes_after() -> None:
    disk = Disk({"/d/a": b"." * 1024})
    for operation in (Write("/d/a", b"A" * 1024, 0), Write("/d/a", b"B", 0)):
        disk.apply(operation)
    first, second = b"A" * 512, b"." * 512
    torn = {b"." * 1024, first + second}
    whole = {b"A" * 1024, b"B" + b"A" * 1023}  # the tear is in the second write, of a single byte
    assert possible(disk, "torn 512") == torn | whole


def test_each_sector_may_reach_the_disk_alone() -> None:
    disk = Disk({"/d/a": b"." * 1024})
    disk.apply(Write("/d/a", b"A" * 1024, 0))
    parts = [b"." * 512, b"A" * 512]
    assert possible(disk, "sectors") == {first + second for first in parts for second in parts}


def test_a_file_may_have_its_size_without_its_data_and_the_reverse() -> None:
    disk = disk_after(Write("/d/a", b"more", 4))
    assert left(disk, "size only") == {"/d/a": b"old!\0\0\0\0"}
    assert left(disk, "data only") == {"/d/a": b"old!"}
    cut = disk_after(Resize("/d/a", 1))
    assert left(cut, "kept") == {"/d/a": b"o"}
    assert left(cut, "dropped") == {"/d/a": b"old!"}


def test_names_wait_for_their_folder_and_keep_their_order() -> None:
    disk = disk_after(Create("/d/b"), Write("/d/b", b"x"), Sync("/d/b"), Rename("/d/b", "/d/c"), Remove("/d/a"))
    assert left(disk, "kept", names=0) == {"/d/a": b"old!"}
    assert left(disk, "kept", names=1) == {"/d/a": b"old!", "/d/b": b"x"}
    assert left(disk, "kept", names=2) == {"/d/a": b"old!", "/d/c": b"x"}
    assert left(disk, "kept") == {"/d/c": b"x"}
    disk.apply(Sync("/d"))
    assert left(disk, "dropped", names=0) == {"/d/c": b"x"}


def test_a_rename_over_another_file_leaves_one_of_the_two() -> None:
    disk = disk_after(Create("/d/b"), Write("/d/b", b"new"), Sync("/d/b"), Rename("/d/b", "/d/a"))
    assert left(disk, "dropped", names=1)["/d/a"] == b"old!"
    assert left(disk, "dropped", names=2) == {"/d/a": b"new"}


def test_a_renamed_folder_takes_its_files_along() -> None:
    disk = disk_after(Create("/d/p/x"), Write("/d/p/x", b"1"), Sync("/d/p/x"), Sync("/d/p"), Rename("/d/p", "/d/q"))
    assert left(disk, "kept", names=0) == {"/d/a": b"old!", "/d/p/x": b"1"}
    assert left(disk, "kept") == {"/d/a": b"old!", "/d/q/x": b"1"}


def test_an_opening_that_finds_the_file_creates_nothing() -> None:
    disk = disk_after(Create("/d/a"))
    assert left(disk, "dropped") == {"/d/a": b"old!"}
    assert disk.pending_names == 0


def test_a_copy_is_a_write_of_what_the_source_holds() -> None:
    disk = disk_after(Create("/d/b"), Copy("/d/b", "/d/a", 1, 2))
    assert left(disk, "kept")["/d/b"] == b"ld"
    assert left(disk, "dropped")["/d/b"] == b""
