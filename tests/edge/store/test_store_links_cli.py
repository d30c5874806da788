"""`hj212 platform links` where nothing of the range is known: a daemon that stands still for weeks, a range to come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from storekit import NOON

from edge.catalogue import use_language
from edge.cli.online import links as verb
from edge.store import links
from edge.store.links import Connected
from edge.store.store import Store


@pytest.mark.parametrize("wish", [(), ("--from", "2099-01-01")])
def test_a_range_in_which_nothing_ran_is_empty_and_does_not_end_before_it_begins(
    store: Store, tmp_path: Path, wish: tuple[str, ...]
) -> None:
    store.call(links.begin, NOON, NOON).result(5)
    store.call(links.keep, NOON, [Connected("city/ww1", NOON, "a:1", "p")], {}, NOON).result(5)
    site = tmp_path / "site.toml"
    site.write_text(f'[site]\nname = "x"\ndata_dir = "{tmp_path}"\n', encoding="utf-8")
    done = CliRunner().invoke(verb, ["city/ww1", *wish, "--json", "-c", str(site)])
    use_language(None)
    assert done.exit_code == 0, done.output
    page = json.loads(done.stdout)
    assert page["from"] <= page["to"]
    assert [(row["link"], row["online_rate"]) for row in page["links"]] == [("city/ww1", None)]
