"""Drivers of other packages: found by entry point, loaded only when a site names them, named when they fail."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from peers import RunningClock

from drivers import registry
from drivers.driver import InstrumentSpec, PointSpec
from drivers.errors import BadOption
from drivers.line import LineInstrument, LineWorker, PollResult
from drivers.port import LineSettings
from drivers.simulated import SimulatedBus

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples" / "hj212-driver-template"
MODULE = "hj212_driver_template"


def installed(folder: Path, name: str = "template", package: str = "hj212-driver-template", code: str = "") -> Path:
    """A folder as pip leaves it, with the template, or `code`, as the driver of this name."""
    folder.mkdir(exist_ok=True)
    module = MODULE if not code else package.replace("-", "_")
    if code:
        (folder / f"{module}.py").write_text(code, encoding="utf-8")
    else:
        shutil.copy(TEMPLATE / f"{MODULE}.py", folder)
    info = folder / f"{package.replace('-', '_')}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[hj212.drivers]\n{name} = {module}:Template\n", encoding="utf-8")
    return folder


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return folder


def refused(name: str) -> BadOption:
    with pytest.raises(BadOption) as caught:
        registry.driver_class(name)
    return caught.value


def test_the_templates_pyproject_names_its_driver_as_its_class_does(site_packages: Path) -> None:
    installed(site_packages)
    assert f'template = "{MODULE}:Template"' in (TEMPLATE / "pyproject.toml").read_text(encoding="utf-8")
    assert registry.driver_class("template").name == "template"


def test_another_packages_driver_is_known_by_name_and_not_imported_before_it_is_asked_for(site_packages: Path) -> None:
    installed(site_packages)
    assert "template" in registry.names()
    assert "template" not in registry.shipped()
    assert registry.driver_class("modbus").name == "modbus"
    assert MODULE not in sys.modules
    registry.driver_class("template")
    assert MODULE in sys.modules


def test_shipped_name_cannot_be_taken(site_packages: Path) -> None:
    installed(site_packages, name="modbus")
    assert registry.driver_class("modbus").__module__ == "drivers.modbus"


def test_name_that_two_packages_offer_belongs_to_neither(site_packages: Path) -> None:
    installed(site_packages)
    installed(site_packages, package="other-scale")
    error = refused("template")
    assert (error.code, error.params["packages"]) == (
        "drivers.driver-twice", "hj212-driver-template 0.1.0, other-scale 0.1.0",
    )  # fmt: skip


@pytest.mark.parametrize("code", ["import no_such_module", "Template = 1 / x", "def (", "class Other: ..."])
def test_package_that_cannot_be_imported_is_named(site_packages: Path, code: str) -> None:
    sys.modules.pop("broken_scale", None)
    installed(site_packages, "scale", "broken-scale", code)
    error = refused("scale")
    assert (error.code, error.params["package"]) == ("drivers.driver-broken", "broken-scale 0.1.0")


def test_class_that_lacks_what_a_driver_needs_is_named() -> None:
    assert registry._lacking(object, "x") == 'name = "x", PointOptions, InstrumentOptions, read'


class Scale:
    """The instrument of the template; built here from its description."""

    address, every_s = 1, None

    def length(self, pending: bytes) -> int | None:
        return 2 if pending.startswith(b"W") else 0

    def answer(self, request: bytes, time_ms: int) -> bytes:
        body = b"W +0012.50 kg "
        return body + b"%02X\r" % (sum(body) & 0xFF)


def test_the_template_reads_its_instrument_over_a_pty(site_packages: Path) -> None:
    installed(site_packages)
    driver = registry.driver_class("template")
    bus, results = SimulatedBus([Scale()], RunningClock()), queue.Queue[PollResult]()
    bus.start()
    scale = driver(InstrumentSpec("scale", 1, [PointSpec("weight", driver.PointOptions(tare=0.5))]))
    worker = LineWorker("l", LineSettings(bus.path), [LineInstrument("scale", scale)], results.put, RunningClock())
    worker.start()
    try:
        [reading] = results.get(timeout=10).readings
    finally:
        worker.stop()
        bus.stop()
    assert (reading.point, reading.value) == ("weight", 12.0)


SITE = """
[site]
name = "x"
data_dir = "{data}"
language = "en"
[outlets.o]
name = "o"
statistics = "water"
st = 32
[lines.l]
port = "/dev/ttyS9"
[instruments.scale]
line = "l"
driver = "template"
address = 1
outlet = "o"
  [[instruments.scale.points]]
  factor = "w01018"
  unit = "mg/L"
  range = [0, 500]
  {key}
"""


@pytest.mark.parametrize(("key", "code", "said"), [("tare = 0.5", 0, ""), ("tara = 0.5", 2, "tare"), ("", 2, "broken")])
def test_site_file_with_another_packages_driver_is_checked_with_its_keys(
    tmp_path: Path, key: str, code: int, said: str
) -> None:
    folder, site = tmp_path / "packages", tmp_path / "site.toml"
    installed(folder) if key else installed(folder, package="broken-scale", code="import no_such_module")
    site.write_text(SITE.format(data=tmp_path, key=key), encoding="utf-8")
    command = [sys.executable, "-m", "edge.cli.main", "config", "check", "-c", str(site)]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    assert said in run.stdout + run.stderr
