"""Build hook: put the shipped configuration inside the wheel's packages.

An editable install reads `config/` of the checkout instead. A forced inclusion in `pyproject.toml`
would reach the editable install too: it would leave a `controller/` folder with nothing but
configuration in site-packages, which Python takes for a namespace package that hides the checkout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WATCHING = (
    "prometheus/prometheus.yml",
    "prometheus/rules/alerts.yml",
    "prometheus/rules/recording.yml",
    "alertmanager/alertmanager.yml",
    "grafana/trimtab.json",
    "grafana/fleet.json",
    "grafana/provisioning/dashboards/trimtab.yml",
    "grafana/provisioning/datasources/prometheus.yml",
)
SHIPPED = {
    "config/plant.toml": "plant_sim/config/plant.toml",
    "config/controller.toml": "controller/config/controller.toml",
    "config/tags.toml": "controller/config/tags.toml",
    "config/hmi.toml": "controller/config/hmi.toml",
    "config/examples/foreign_tags.toml": "controller/config/examples/foreign_tags.toml",
    **{f"config/{name}": f"controller/config/{name}" for name in WATCHING},
}


class ShippedConfiguration(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `SHIPPED` to a standard wheel and nothing to an editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before a build of `version` ("standard" or "editable")."""
        if version != "standard":
            return
        root = Path(self.root)
        for source, target in SHIPPED.items():
            build_data["force_include"][str(root / source)] = target
