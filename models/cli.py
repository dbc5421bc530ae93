"""`trimtab-models`: train a bundle, look at one, compare controllers."""

from __future__ import annotations

import typer

from models.commands.bundles import check_data, recipes, show, train
from models.commands.evaluation import assess, evaluate, report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, inspect and check the bundles that the controller runs.",
)
for command in (train, check_data, show, evaluate, assess, report, recipes):
    app.command()(command)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
