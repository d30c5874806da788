"""What the store's tests share: a store in a fresh folder, and the clock of its tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storekit import NOON, Events

from config.site import Retention
from edge.clock import SimulatedClock
from edge.store.database import RECORDS, SAMPLES, open_database
from edge.store.store import Store


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture
def open_store(tmp_path: Path, events: Events) -> Iterator[Callable[[], Store]]:
    stores: list[Store] = []

    def make() -> Store:
        store = Store(
            tmp_path,
            retention=Retention(),
            on_event=lambda code, params: events.append((code, params)),
            clock=SimulatedClock(NOON, 0.0),
        )
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """records.db without the thread, for the functions alone."""
    connection, _ = open_database(tmp_path, RECORDS, "20260922120000", lambda code, params: None)
    yield connection
    connection.close()


@pytest.fixture
def samples_db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection, _ = open_database(tmp_path, SAMPLES, "20260922120000", lambda code, params: None)
    yield connection
    connection.close()
