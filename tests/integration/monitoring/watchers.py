"""The real Prometheus and Alertmanager on the files of `config/`, made faster by `scaled`.

Every duration in the rules and routes is divided, nothing else is changed.
"""

import json
import re
import shutil
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.integration.monitoring.controllers import Controller
from tests.integration.monitoring.plant import ROOT
from tests.support.controllers import fetched
from tests.support.processes import PipedProcess, free_port
from tests.support.waiting import until_told

SCRAPE_S = 0.5
FASTER = 120
"""Divides every duration of the rules: 30 minutes become 15 s."""
SHORTEST_FOR_S, SHORTEST_WINDOW_S = 1.0, 4.0
"""A window must hold some scrapes, whatever it is divided by."""
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is absent: apt-get install --no-install-recommends {package}")
    return found


def faster(duration: str, shortest_s: float) -> str:
    """A duration of Prometheus, divided by `FASTER` but no shorter than that."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration).groups()
    return f"{round(1000 * max(shortest_s, int(number) * SECONDS[unit] / FASTER))}ms"


def scaled(rules: dict) -> dict:
    """Rules whose `for`, `keep_firing_for` and windows are shorter; the rest is as shipped."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    rule[key] = faster(rule[key], SHORTEST_FOR_S)
            rule["expr"] = re.sub(
                r"\[(\w+)\]",
                lambda window: f"[{faster(window[1], SHORTEST_WINDOW_S)}]",
                rule["expr"],
            )
    return rules


class Inbox:
    """Receives what Alertmanager tells its receivers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, str]] = []
        inbox = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    labels = alert["labels"]
                    inbox.append(
                        (
                            body["receiver"],
                            alert["status"],
                            labels["alertname"],
                            labels["plant_unit"],
                        )
                    )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Watchers:
    """Prometheus and Alertmanager on files made from those of `config/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.targets = folder / "targets.json"
        self.inbox = Inbox()
        self.prometheus = self.alertmanager = None
        self.url = self.alerts_url = ""

    async def start(self) -> None:
        prometheus = tool("prometheus", "prometheus")
        alertmanager = tool("prometheus-alertmanager", "prometheus-alertmanager")
        port, alerts_port = free_port(), free_port()
        self.url, self.alerts_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{alerts_port}"
        self._write(alerts_port)
        self.alertmanager = PipedProcess(
            [
                alertmanager,
                f"--config.file={self.folder / 'alertmanager.yml'}",
                f"--storage.path={self.folder / 'alerts'}",
                f"--web.listen-address=127.0.0.1:{alerts_port}",
                "--cluster.listen-address=",
            ],
            self.folder,
        )
        self.prometheus = PipedProcess(
            [
                prometheus,
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'series'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            self.folder,
        )
        await self.prometheus.ready(lambda: fetched(f"{self.url}/-/ready"), "Prometheus")
        await self.alertmanager.ready(lambda: fetched(f"{self.alerts_url}/-/ready"), "Alertmanager")

    def _write(self, alerts_port: int) -> None:
        config = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text())
        config["global"] = {
            "scrape_interval": f"{round(1000 * SCRAPE_S)}ms",
            "scrape_timeout": f"{round(1000 * SCRAPE_S)}ms",
            "evaluation_interval": f"{round(1000 * SCRAPE_S)}ms",
        }
        (job,) = config["scrape_configs"]
        del job["static_configs"]
        job["file_sd_configs"] = [{"files": [str(self.targets)], "refresh_interval": "1s"}]
        (manager,) = config["alerting"]["alertmanagers"]
        manager["static_configs"][0]["targets"] = [f"127.0.0.1:{alerts_port}"]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self.folder / "rules").mkdir()
        for path in (ROOT / "config/prometheus/rules").glob("*.yml"):
            rules = scaled(yaml.safe_load(path.read_text()))
            (self.folder / "rules" / path.name).write_text(yaml.safe_dump(rules))
        routes = yaml.safe_load((ROOT / "config/alertmanager/alertmanager.yml").read_text())
        routes["route"] |= {"group_wait": "100ms", "group_interval": "500ms"}
        for receiver in routes["receivers"]:
            (hook,) = receiver["webhook_configs"]
            hook["url"] = f"http://127.0.0.1:{self.inbox.port}/"
        (self.folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))

    async def scrape(self, *controllers: Controller) -> None:
        """Have these scraped from now on; returns when each was."""
        written = self.targets.with_suffix(".new")
        written.write_text(
            json.dumps(
                [
                    {
                        "targets": [f"127.0.0.1:{each.port}"],
                        "labels": {"plant_unit": each.name},
                    }
                    for each in controllers
                ]
            )
        )
        written.rename(self.targets)
        for each in controllers:
            await until_told(
                lambda each=each: self.value(f'up{{plant_unit="{each.name}"}} == 1'),
                15,
                f"{each.name} is scraped",
            )

    def ask(self, path: str, **parameters) -> list:
        query = urllib.parse.urlencode(parameters)
        answer = json.loads(fetched(f"{self.url}/api/v1/{path}?{query}"))
        assert answer["status"] == "success", answer
        data = answer["data"]
        return data["result"] if isinstance(data, dict) and "result" in data else data

    def query(self, expr: str) -> list:
        return self.ask("query", query=expr)

    def value(self, expr: str) -> float | None:
        """Of the first series; None when there is none."""
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[tuple[str, str]]:
        """(alert, unit) of what Prometheus says fires."""
        found = self.ask("alerts")["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"]["plant_unit"])
            for alert in found
            if alert["state"] == "firing"
        }

    def standing(self) -> dict[tuple[str, str, str], dict]:
        """(alert, unit, severity) -> how it stands in Alertmanager."""
        found = json.loads(fetched(f"{self.alerts_url}/api/v2/alerts"))
        return {
            (
                alert["labels"]["alertname"],
                alert["labels"]["plant_unit"],
                alert["labels"]["severity"],
            ): alert["status"]
            for alert in found
        }

    async def fires(self, alert: str, unit: str, receiver: str, seconds: float = 30.0) -> None:
        """The alert fires and its receiver is told."""
        wanted = (receiver, "firing", alert, unit)
        await until_told(
            lambda: (alert, unit) in self.firing(), seconds, f"{alert} of {unit} fires"
        )
        await until_told(lambda: wanted in self.inbox.told, 15, f"{wanted} in {self.inbox.told}")

    async def resolves(self, alert: str, unit: str, receiver: str, seconds: float = 40.0) -> None:
        """The alert is over and its receiver is told."""
        wanted = (receiver, "resolved", alert, unit)
        await until_told(
            lambda: (alert, unit) not in self.firing(), seconds, f"{alert} of {unit} is over"
        )
        await until_told(lambda: wanted in self.inbox.told, 15, f"{wanted} in {self.inbox.told}")

    def close(self) -> None:
        for process in (self.prometheus, self.alertmanager):
            if process is not None:
                process.end()
        self.inbox.close()
