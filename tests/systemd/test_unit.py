"""The unit, the users and the folders: systemd's own checker, and the lines on which the daemon relies."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "hj212-edge.service"
NEEDS_SYSTEMD = "systemd is not installed (scripts/bootstrap dev installs it)"


def _settings(path: Path) -> dict[str, list[str]]:
    """`Section.Key` to its values, in order (systemd allows a key several times)."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


def _table(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which(command[0]), NEEDS_SYSTEMD
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_systemd_accepts_the_unit_without_a_warning(tmp_path: Path) -> None:
    program = tmp_path / "hj212"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/opt/hj212-edge/bin/hj212", str(program))
    unit.write_text(text, encoding="utf-8")

    result = _run("systemd-analyze", "verify", "--man=no", str(unit))

    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_systemd_finds_a_wrong_line_in_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text("[Service]\nExecStart=/bin/true\nWatchdogSecs=30\n", encoding="utf-8")

    assert "WatchdogSecs" in _run("systemd-analyze", "verify", "--man=no", str(unit)).stderr


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Unit.After", "network.target time-set.target"),
        ("Unit.StartLimitIntervalSec", "0"),
        ("Service.Type", "notify"),
        ("Service.NotifyAccess", "main"),
        ("Service.WatchdogSec", "30"),
        ("Service.Restart", "always"),
        ("Service.RestartSec", "2"),
        ("Service.User", "hj212"),
        ("Service.Group", "hj212"),
        ("Service.SupplementaryGroups", "dialout"),
        ("Service.RuntimeDirectory", "hj212-edge"),
        ("Service.RuntimeDirectoryMode", "0750"),
        ("Service.StateDirectory", "hj212-edge"),
        ("Service.ConfigurationDirectory", "hj212-edge"),
        ("Service.ExecStart", "/opt/hj212-edge/bin/hj212 run -c /etc/hj212-edge/site.toml"),
        ("Service.AmbientCapabilities", "CAP_SYS_TIME"),
        ("Service.ProtectSystem", "strict"),
        ("Service.NoNewPrivileges", "yes"),
        ("Install.WantedBy", "multi-user.target"),
    ],
)
def test_the_unit_says(key: str, value: str) -> None:
    assert _settings(UNIT)[key] == [value]


def test_nothing_takes_the_serial_ports_or_the_clock_from_the_daemon() -> None:
    settings = _settings(UNIT)

    assert settings["Service.CapabilityBoundingSet"] == ["CAP_SYS_TIME"]
    assert not {"Service.PrivateDevices", "Service.ProtectClock", "Service.DeviceAllow"} & settings.keys()


def test_the_users_and_groups_of_the_unit_are_made() -> None:
    made = {(row[0], row[1]) for row in _table(FOLDER / "sysusers.conf")}

    assert {("u", "hj212"), ("g", "hj212-admin"), ("g", "dialout"), ("m", "hj212")} == made


def test_systemd_accepts_the_users(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    result = _run("systemd-sysusers", "--dry-run", f"--root={tmp_path}", str(FOLDER / "sysusers.conf"))

    # A line that it cannot use is named with the file and its number, and ends with 0 all the same.
    assert (result.returncode, "sysusers.conf:" in result.stderr) == (0, False)


def test_folders_have_one_mode_in_unit_and_tmpfiles() -> None:
    folders = {row[1]: row[2] for row in _table(FOLDER / "tmpfiles.conf")}
    settings = _settings(UNIT)

    assert [folders["/etc/hj212-edge"]] == settings["Service.ConfigurationDirectoryMode"]
    assert [folders["/var/lib/hj212-edge"]] == settings["Service.StateDirectoryMode"]


def test_the_site_file_with_its_passwords_is_not_for_everyone() -> None:
    modes = {row[1]: int(row[2], 8) for row in _table(FOLDER / "tmpfiles.conf")}

    assert modes["/etc/hj212-edge/site.toml"] & 0o007 == 0
    assert modes["/etc/hj212-edge"] & 0o007 == 0
