"""The model card that lies beside the weights, written from the manifest alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.bundle import horizon_ends

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
            "## Where to believe it",
            "",
            *_conformal(manifest),
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


def _conformal(manifest: Manifest) -> list[str]:
    """What the held-out episodes say, a line each."""
    section = manifest.conformal
    if section is None:
        return ["- no error bands and no novelty: the bundle was made without held-out episodes"]
    hours = [end * manifest.sample_time_s / 3600.0 for end in horizon_ends(manifest.cost.blocks)]
    rows = [
        f"- {cv.name}: {section.bands[0][i]:.3g} {cv.unit} after {hours[0]:.3g} h, "
        f"{section.bands[-1][i]:.3g} {cv.unit} after {hours[-1]:.3g} h"
        for i, cv in enumerate(manifest.cvs)
    ]
    return [
        f"From {len(section.episodes)} episodes that no network learned from. In a further episode",
        f"of the kind in the data {section.within:.0%} of the predictions miss by at most the",
        f"band, with probability {section.level:g}:",
        "",
        *rows,
        f"- novelty 1: distance {section.ood_threshold:.3g} from the data; an episode stays below",
        f"  with probability {section.ood_level:g}",
    ]
