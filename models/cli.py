"""`trimtab-models`: train a bundle, look at one, compare controllers."""

from __future__ import annotations

import typer

from models.commands.bundles import check_data, recipes, show, train
from models.commands.evaluation import assess, evaluate, report

MANUAL = """Train, inspect and check the bundles that the controller runs.

Examples:
  trimtab-models show                      the bundle that ships, checked
  trimtab-models train --seed 7            data, policy, cost, bundle
  trimtab-models check-data --recipe mine.toml --data history.parquet

Exit codes:
  0  done
  2  configuration: the recipe, an option, a device that is not there
  3  artefact refused: data not fit to train on, a damaged bundle
  130  interrupted; the same command goes on from there
"""
app = typer.Typer(
    name="trimtab-models",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=MANUAL,
)
for command in (train, check_data, show, evaluate, assess, report, recipes):
    app.command()(command)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
