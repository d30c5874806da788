"""scripts/bootstrap on machines that lack something: a folder with chosen commands is the whole PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "bootstrap"
NO_ENSUREPIP = f"""#!/bin/sh
case "$1 $2" in "-m venv") mkdir -p .venv/bin; echo "ensurepip is not available"; exit 1;; esac
exec '{sys.executable}' "$@"
"""
TOO_OLD = """#!/bin/sh
[ "$1" = --version ] && { echo "Python 3.9.2"; exit 0; }
exit 1
"""
DEAD_SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"
# A virtual environment whose python is ours, and whose pip writes down what it is asked for.
VENV_PYTHON = f"""#!/bin/sh
case "$1 $2" in "-m pip") shift 2; echo "$*" >>pip.log; exit 0;; esac
exec '{sys.executable}' "$@"
"""
MAKES_VENV = f"""#!/bin/sh
case "$1 $2" in
    "-m venv") mkdir -p "$3/bin"; cp "$(dirname "$0")/../venv-python" "$3/bin/python"; exit 0;;
esac
exec '{sys.executable}' "$@"
"""


class Machine:
    """A source tree (its path has a space) and the commands that exist on this machine."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "a tree"
        self.commands = folder / "bin"
        (self.tree / "scripts").mkdir(parents=True)
        self.commands.mkdir()
        shutil.copy(SCRIPT, self.tree / "scripts")
        (self.tree / "pyproject.toml").touch()
        self.has("../venv-python", VENV_PYTHON)
        for name in ("sh", "env", "dirname", "rm", "mkdir", "cp", "cat"):
            (self.commands / name).symlink_to(str(shutil.which(name)))
        self.has("id", "#!/bin/sh\necho 1000\n")

    def has(self, name: str, content: str) -> None:
        path = self.commands / name
        path.write_text(content)
        path.chmod(0o755)

    def bootstrap(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.commands), "LC_ALL": "C.UTF-8"}
        command = [str(self.tree / "scripts" / "bootstrap"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)

    def pip_calls(self) -> list[str]:
        log = self.tree / "pip.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_ensurepip_uv_or_root_it_stops_with_the_line_to_type(machine: Machine) -> None:
    machine.has("python3", NO_ENSUREPIP)

    result = machine.bootstrap()

    package = f"python3.{sys.version_info.minor}-venv"
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(f"Type: sudo apt-get install {package}")
    assert "ensurepip is not available" in result.stderr
    assert not (machine.tree / ".venv").exists()


def test_without_ensurepip_uv_makes_the_environment(machine: Machine) -> None:
    machine.has("python3", NO_ENSUREPIP)
    machine.has("uv", '#!/bin/sh\nmkdir -p .venv/bin\ncp "$(dirname "$0")/../venv-python" .venv/bin/python\n')

    result = machine.bootstrap()

    assert (result.returncode, machine.pip_calls()) == (
        0,
        ["install -qq --disable-pip-version-check -e ."],
    )


def test_without_ensurepip_root_installs_the_package_after_fetching_the_lists(machine: Machine) -> None:
    machine.has("python3", NO_ENSUREPIP)
    (machine.commands / "fixed").write_text(MAKES_VENV)
    # The first `install` fails as on an image without package lists; once they are there, venv works.
    machine.has(
        "apt-get",
        '#!/bin/sh\ncd "$(dirname "$0")"\necho "$*" >>apt.log\n'
        'case "$*" in *update) : >lists; exit 0;; esac\n[ -f lists ] && cp fixed python3\n',
    )
    machine.has("id", "#!/bin/sh\necho 0\n")

    result = machine.bootstrap()

    install = f"-q -y --no-install-recommends install python3.{sys.version_info.minor}-venv"
    assert result.returncode == 0, result.stderr
    assert (machine.commands / "apt.log").read_text().splitlines() == [install, "-q update", install]


def test_a_python_that_is_too_old_is_named_with_its_version(machine: Machine) -> None:
    machine.has("python3", TOO_OLD)

    result = machine.bootstrap()

    assert result.returncode == 1
    assert "Python 3.11 or newer is needed, found: Python 3.9.2" in result.stderr


def test_a_machine_without_python_is_told_so(machine: Machine) -> None:
    result = machine.bootstrap()

    assert (result.returncode, "found: no python3" in result.stderr) == (1, True)


def test_a_newer_python_that_does_not_run_is_passed_over(machine: Machine) -> None:
    machine.has("python3.14", DEAD_SHIM)
    machine.has("python3", MAKES_VENV)

    assert machine.bootstrap().returncode == 0


def test_the_second_run_installs_nothing_and_a_changed_pyproject_installs_again(machine: Machine) -> None:
    machine.has("python3", MAKES_VENV)

    machine.bootstrap()
    machine.bootstrap()
    assert len(machine.pip_calls()) == 1

    stamp = machine.tree / ".venv" / ".installed-run"
    later = stamp.stat().st_mtime_ns + 1_000_000_000
    os.utime(machine.tree / "pyproject.toml", ns=(later, later))
    machine.bootstrap()
    assert len(machine.pip_calls()) == 2


def test_an_environment_copied_from_another_tree_is_made_anew(machine: Machine) -> None:
    machine.has("python3", MAKES_VENV)
    machine.bootstrap()
    moved = machine.tree.rename(machine.tree.with_name("another tree"))
    machine.tree = moved

    result = machine.bootstrap()

    assert "making it anew" in result.stderr
    assert (moved / ".venv" / ".installed-run").read_text() == f"{moved.resolve()}\n"
    assert len(machine.pip_calls()) == 2


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.has("python3", MAKES_VENV)
    machine.bootstrap()
    (machine.tree / ".venv" / "bin" / "python").unlink()

    assert "making it anew" in machine.bootstrap().stderr


def test_system_packages_missing_for_the_tests_are_an_error_with_the_line_to_type(machine: Machine) -> None:
    machine.has("python3", MAKES_VENV)  # and neither systemd-analyze nor openssl on this machine

    result = machine.bootstrap("dev")

    assert result.returncode == 1
    assert "Type: sudo apt-get install" in result.stderr
    assert result.stderr.split()[-2:] == ["systemd", "openssl"]
    assert machine.pip_calls() == []
