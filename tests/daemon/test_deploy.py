"""What an operator copies: the unit, the scripts, the alert rules, the dashboard."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from syncer.config import Credentials
from syncer.config.load import load_settings
from syncer.daemon import metrics
from syncer.store.read import metric_queries

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "syncer.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


def settings_of(text: str) -> dict[str, list[str]]:
    """The assignments of a unit that are in force."""
    out: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            out.setdefault(key, []).append(value)
    return out


@needs_systemd
def test_the_unit_exposes_little() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    level = re.search(r"Overall exposure level for syncer\.service: ([0-9.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= 1.1


@needs_systemd
def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / "syncer.service"
    copy.write_text(UNIT.read_text().replace("/opt/syncer/bin/syncer", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")  # unknown keys are only reported on stderr


def test_the_unit_says_what_the_daemon_needs() -> None:
    text = UNIT.read_text()
    found = settings_of(text)
    assert found["Type"] == ["notify"]
    assert found["User"] == ["syncer"]
    assert found["StateDirectory"] == ["syncer"]
    assert found["StateDirectoryMode"] == ["0700"]
    assert set(found["RestartPreventExitStatus"][0].split()) == {"78", "243"}
    assert found["Restart"] == ["on-failure"]
    assert "WatchdogSec" in found
    assert found["ExecStart"] == ["/opt/syncer/bin/syncer --config /etc/syncer/config.toml run"]
    assert "#LoadCredential=telecmi.main.secret:" in text
    drop_in = settings_of((DEPLOY / "restart-steps.conf").read_text())
    assert {"RestartSteps", "RestartMaxDelaySec"} <= set(drop_in)


# -- the scripts ---------------------------------------------------------------------------------------


def run(script: str, folder: Path, *arguments: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    command = [shell, *(["sh"] if shell == "busybox" else []), str(DEPLOY / script), *arguments]
    return subprocess.run(
        command, env=os.environ | {"DESTDIR": str(folder)}, capture_output=True, text=True, check=False
    )


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path below a folder: its mode, and what it holds."""
    return {
        str(path.relative_to(folder)): (
            stat.S_IMODE(path.lstat().st_mode),
            str(path.readlink()).encode()
            if path.is_symlink()
            else path.read_bytes()
            if path.is_file()
            else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("shell", SHELLS)
def test_install_twice_is_install_once(tmp_path: Path, shell: str) -> None:
    first = run("install.sh", tmp_path, "--no-packages", shell=shell)
    assert first.returncode == 0, first.stderr
    once = tree(tmp_path)
    second = run("install.sh", tmp_path, "--no-packages", shell=shell)
    assert second.returncode == 0, second.stderr
    assert tree(tmp_path) == once
    assert "wrote" not in second.stdout

    assert mode(tmp_path / "etc/syncer/config.toml") == 0o640
    assert mode(tmp_path / "etc/syncer") == 0o750
    assert mode(tmp_path / "etc/syncer/credentials") == 0o700
    assert mode(tmp_path / "var/lib/syncer") == 0o700
    unit = tmp_path / "etc/systemd/system/syncer.service"
    assert unit.read_bytes() == UNIT.read_bytes()
    assert str((tmp_path / "usr/local/bin/syncer").readlink()) == "/opt/syncer/bin/syncer"


def test_the_config_it_writes_loads_and_points_to_where_the_service_may_write(tmp_path: Path) -> None:
    assert run("install.sh", tmp_path, "--no-packages").returncode == 0
    settings = load_settings(tmp_path / "etc/syncer/config.toml", {}, Credentials.SHOWN)
    assert settings.database.path == Path("/var/lib/syncer/syncer.db")
    assert settings.backup.path == Path("/var/lib/syncer/backups")


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    run("install.sh", tmp_path, "--no-packages")
    config = tmp_path / "etc/syncer/config.toml"
    config.write_text("# mine\n")
    (tmp_path / "var/lib/syncer/syncer.db").write_text("precious")
    unit = tmp_path / "etc/systemd/system/syncer.service"
    unit.write_text("an older version's\n")
    link = tmp_path / "usr/local/bin/syncer"
    link.unlink()
    link.write_text("another program of that name\n")
    done = run("install.sh", tmp_path, "--no-packages")
    assert done.returncode == 0, done.stderr
    assert config.read_text() == "# mine\n"
    assert unit.read_bytes() == UNIT.read_bytes()
    assert link.read_text() == "another program of that name\n"

    assert run("uninstall.sh", tmp_path).returncode == 0
    assert config.read_text() == "# mine\n"
    assert (tmp_path / "var/lib/syncer/syncer.db").read_text() == "precious"
    assert link.exists()
    assert not unit.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_uninstall_leaves_nothing_when_asked_to(tmp_path: Path, shell: str) -> None:
    run("install.sh", tmp_path, "--no-packages", shell=shell)
    (tmp_path / "opt/syncer").mkdir(parents=True)
    (tmp_path / "opt/syncer/pyvenv.cfg").write_text("")
    for _ in range(2):
        done = run("uninstall.sh", tmp_path, "--purge", shell=shell)
        assert done.returncode == 0, done.stderr
    assert [path for path in tree(tmp_path) if "syncer" in path] == []


def test_uninstall_removes_no_folder_that_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "opt/syncer").mkdir(parents=True)
    (tmp_path / "opt/syncer/data").write_text("somebody's")
    (tmp_path / "etc/systemd/system/syncer.service.d").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/syncer.service.d/override.conf").write_text("[Service]\n")
    done = run("uninstall.sh", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opt/syncer/data").exists()
    assert (tmp_path / "etc/systemd/system/syncer.service.d/override.conf").exists()


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_the_scripts_refuse_what_they_do_not_understand(script: str, tmp_path: Path) -> None:
    assert run(script, tmp_path, "--sideways").returncode == 2
    assert run(script, tmp_path, "--help").returncode == 0
    assert run(script, Path("relative")).returncode == 1
    assert tree(tmp_path) == {}


def test_the_trial_refuses_what_it_does_not_understand(tmp_path: Path) -> None:
    """What it does for real takes minutes, a container and root: see deploy/README.md."""
    assert run("try-service.sh", tmp_path, "--sideways").returncode == 2
    assert "systemd-nspawn" in run("try-service.sh", tmp_path, "--help").stdout


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh", "try-service.sh"])
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_can_read_the_scripts(script: str, shell: str) -> None:
    command = [shell, *(["sh"] if shell == "busybox" else []), "-n", str(DEPLOY / script)]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
@pytest.mark.skipif(os.geteuid() == 0, reason="this would be done for real")
def test_the_real_thing_needs_root(script: str) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "DESTDIR"}
    done = subprocess.run(["sh", str(DEPLOY / script)], env=environ, capture_output=True, check=False)
    assert done.returncode == 1


# -- what watches --------------------------------------------------------------------------------------


def known_metrics() -> set[str]:
    """Every metric that the daemon shows, by the name that a query uses."""
    job = metric_queries.JobHealth("telecmi-push", "main", "telecmi", 1, 1, 1, False, 0, False)
    key = ("telecmi-push", "main")
    read = metric_queries.Figures(
        (job,),
        {("main", "queued"): 0, ("main", "conflict"): 0},
        {"main": 0.0},
        {key: 0},
        {key: 0},
        (0, 0.0),
        {("main", "kept"): (1, 1)},
        {"desk": {"queued": 0}},
        {"central": 0.0},
        {key: 0},
    )
    totals = metric_queries.Totals(
        {key: dict.fromkeys(metric_queries.COUNTED, 0)}, {(*key, "ok"): 1}, {key: ("ok", 1.0)}
    )
    sizes = list(metric_queries.file_sizes(Path(__file__)))
    live = metrics.Live(1.0, {("telecmi", "main"): (0, 0.0)}, sizes, 1.0, True)
    page = metrics.render(read, totals, live).decode()
    return set(re.findall(r"^(syncer_[a-z_]+)", page, re.MULTILINE))


@pytest.mark.parametrize("name", ["prometheus-alerts.yml", "grafana-dashboard.json"])
def test_what_watches_asks_for_metrics_that_there_are(name: str) -> None:
    asked = set(re.findall(r"\bsyncer_[a-z_]+", (DEPLOY / name).read_text()))
    assert asked
    assert asked <= known_metrics()


def test_every_metric_is_documented_by_a_rule_or_a_panel() -> None:
    shown = "".join(
        (DEPLOY / name).read_text() for name in ("prometheus-alerts.yml", "grafana-dashboard.json")
    )
    unseen = {name for name in known_metrics() if name not in shown}
    assert unseen <= {"syncer_job_every_seconds", "syncer_job_failures"}


def test_every_alert_says_what_to_do() -> None:
    text = (DEPLOY / "prometheus-alerts.yml").read_text()
    alerts = text.split("      - alert: ")[1:]
    assert len(alerts) >= 10
    for alert in alerts:
        for part in ("expr: ", "severity: ", "summary: ", "description: "):
            assert part in alert, alert.split("\n")[0]


def test_the_dashboard_is_whole() -> None:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) >= 10
    assert all(panel["targets"] for panel in board["panels"])
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(places) == len(set(places))


def test_the_notes_name_every_file() -> None:
    notes = (DEPLOY / "README.md").read_text()
    for path in DEPLOY.iterdir():
        assert f"`{path.name}`" in notes or path.name == "README.md", path.name
