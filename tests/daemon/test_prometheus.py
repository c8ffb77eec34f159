"""A real Prometheus with the scrape config, the alert rules and the dashboard that an operator copies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemon.conftest import ROOT, Daemon, free_port, until

DEPLOY = ROOT / "deploy"

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus is not on this machine (Debian: the package prometheus)",
)


class Prometheus:
    """A server that scrapes this port each second, as deploy/prometheus-scrape.yml has it."""

    def __init__(self, folder: Path, target: int) -> None:
        shutil.copy(DEPLOY / "prometheus-alerts.yml", folder)
        scrape = (DEPLOY / "prometheus-scrape.yml").read_text()
        assert "127.0.0.1:9464" in scrape
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            + scrape.replace("127.0.0.1:9464", f"127.0.0.1:{target}")
        )
        subprocess.run(["promtool", "check", "config", str(config)], check=True, capture_output=True)
        port = free_port()
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=10)
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'series'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def get(self, path: str, **query: str) -> Any:
        """The data of one call; None while there is no answer yet."""
        try:
            answer = self.api.get(path, params=query)
        except httpx.TransportError:
            return None
        if answer.status_code == 503:  # it is starting
            return None
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found = self.get("/query", query=expression)
        return found["result"] if found else []

    def close(self) -> None:
        self.api.close()
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def port(daemon: Daemon) -> int:
    found = free_port()
    daemon.configure(
        extra=f'[http]\nlisten = "127.0.0.1:{found}"\n[backup]\nenabled = true\npath = "backups"\n'
    )
    return found


@pytest.fixture
def prometheus(tmp_path: Path, port: int) -> Iterator[Prometheus]:
    made = Prometheus(tmp_path, port)
    yield made
    made.close()


def expressions() -> list[str]:
    """What the dashboard asks, as Grafana would send it."""
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [one.replace("$__rate_interval", "1m") for one in found]


def test_a_real_prometheus_scrapes_and_judges(daemon: Daemon, prometheus: Prometheus) -> None:
    process = daemon.start()
    daemon.wait_for_first_round()
    daemon.edit("DELETE FROM telecmi_contacts WHERE id = 4")
    until(lambda: prometheus.query('syncer_queue_changes{state="held"} > 0'), "the held delete in a scrape")

    # Every series bears syncer's own labels, as the rules and the dashboard name them.
    jobs = {job for (job,) in daemon.query("SELECT job FROM sync_jobs")}
    fresh = prometheus.query("syncer_last_success_timestamp_seconds > 0")
    assert {one["metric"]["job"] for one in fresh} == jobs
    assert prometheus.query('{__name__=~"syncer_.+", exported_job!=""}') == []
    assert prometheus.query('up{job="syncer"}')[0]["value"][1] == "1"

    # Every rule can be evaluated, and one that should begins to fire.
    def rules() -> list[dict[str, Any]]:
        groups = (prometheus.get("/rules") or {"groups": []})["groups"]
        return [rule for group in groups for rule in group["rules"] if rule["health"] != "unknown"]

    written = re.findall(r"- alert: (\w+)", (DEPLOY / "prometheus-alerts.yml").read_text())
    found = {rule["name"]: rule for rule in until(rules, "the rules")}
    assert set(found) == set(written)
    assert {name: rule.get("lastError") for name, rule in found.items() if rule["health"] != "ok"} == {}
    until(
        lambda: {r["name"] for r in rules() if r["state"] != "inactive"} == {"SyncerDeletesWait"}, "one alert"
    )
    [alert] = next(rule for rule in rules() if rule["state"] != "inactive")["alerts"]
    assert alert["annotations"]["summary"] == "main: deletes that wait for approval: 1"

    # Every panel has an answer; those that only show trouble, or what this config does not use, have none now.
    unused = ("syncer_voicemail_audio", "syncer_outbox", "syncer_publish_")
    asked = [
        one for one in expressions() if not one.endswith("> 0") and not any(name in one for name in unused)
    ]
    empty = [one for one in asked if not prometheus.query(one)]
    assert [one for one in empty if "rate(" not in one and "increase(" not in one] == []
    assert daemon.end(process)[0] == 0
