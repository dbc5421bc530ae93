"""The model card that lies beside the weights, written from the manifest alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.bundle import Manifest


def model_card(manifest: Manifest) -> str:
    """Markdown text of the card."""
    cost, policy = manifest.cost, manifest.policy
    tags = [
        "| tag | role | unit | range |",
        "| --- | --- | --- | --- |",
        *(f"| {t.name} | CV | {t.unit} | {t.low:g} to {t.high:g} |" for t in manifest.cvs),
        *(f"| {t.name} | MV | {t.unit} | {t.low:g} to {t.high:g} |" for t in manifest.mvs),
        *(f"| {t.name} | DV | {t.unit} | {t.low:g} to {t.high:g} |" for t in manifest.dvs),
    ]
    facts = [f"- {key}: {value}" for key, value in manifest.dataset.items()]
    found = [
        f"- {check.column}: {check.reason} ({check.figure}); {check.advice}"
        for check in manifest.data_checks
    ]
    run = [f"- {key}: {value}" for key, value in manifest.training.items()]
    radius = "none" if cost.trust_radius is None else f"{cost.trust_radius:g}"
    return "\n".join(
        [
            f"# {manifest.name} {manifest.version}",
            "",
            f"One move every {manifest.sample_time_s:g} s of plant time.",
            "",
            "## What it is",
            "",
            f"A policy trained offline ({policy.algorithm.upper()}) and a sequence cost, convex in",
            "the moves by construction (partially input convex network), that corrects every move",
            "of the policy before it is written. The correction is solved to a Frank-Wolfe gap of",
            f"{cost.gap_absolute:g} + {cost.gap_relative:g} |J|; a move without that certificate",
            "is refused. The certificate bounds the learned cost, not the plant.",
            "",
            "## Tags",
            "",
            *tags,
            "",
            "## How it corrects",
            "",
            f"- moves held over {', '.join(str(b) for b in cost.blocks)} samples",
            f"- move penalty {cost.move_penalty:g}, ceiling penalty {cost.ceiling_penalty:g}",
            f"- tied to the policy by weight {cost.proximal:g}, trust radius {radius}",
            "",
            "## Data",
            "",
            *facts,
            "",
            "## Findings about the data",
            "",
            *(found or ["- none"]),
            "",
            "## Training",
            "",
            *run,
            "",
            "## Limits",
            "",
            "Valid inside the ranges above and for setpoints inside the envelope of the manifest.",
            "It is not a safety system: interlocks and overrides stay in the plant.",
            "",
        ]
    )
