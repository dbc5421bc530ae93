"""The files of a bundle: read, written, and checked by hash before anything is believed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from models.bundle.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
BASELINES = "baselines.safetensors"


class BundleError(Exception):
    """A bundle that must not run. The message names the file, the key and what to do."""


def default_bundle() -> Path:
    """Directory of the bundle that ships with the package."""
    return Path(__file__).parents[1] / "artifacts" / "polymer-cstr"


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bundle_sha256(directory: Path) -> str:
    """Hex digest over the names and contents of all files of a bundle, in the order of names."""
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        total.update(f"{path.name}\0{sha256(path)}\0".encode())
    return total.hexdigest()


def load_manifest(directory: Path) -> Manifest:
    """Read and check `manifest.json` and the hashes of the files that it names.

    Raises BundleError for a missing, malformed or inconsistent bundle.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise BundleError(
            f"{path}: no such file; point [bundle] path at a directory that "
            "`trimtab-models train` wrote, or leave it out to use the bundle that ships"
        )
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: not UTF-8 text ({error}); restore the file") from error
    except json.JSONDecodeError as error:
        raise BundleError(f"{path}: not valid JSON ({error}); restore the file") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise BundleError(
            f"{path}: {key}: {first['msg']} (received {str(first.get('input'))[:80]!r}); "
            "restore the bundle or train it again"
        ) from error
    _check_files(directory, manifest)
    return manifest


def _check_files(directory: Path, manifest: Manifest) -> None:
    if WEIGHTS not in manifest.files:
        raise BundleError(f"{directory / MANIFEST}: files: {WEIGHTS!r} is missing")
    if manifest.baselines is not None and BASELINES not in manifest.files:
        raise BundleError(f"{directory / MANIFEST}: files: {BASELINES!r} is missing")
    for name, digest in manifest.files.items():
        path = directory / name
        if path.parent != directory or not path.is_file():
            raise BundleError(f"{path}: named in the manifest, but not there; restore the bundle")
        if sha256(path) != digest:
            raise BundleError(
                f"{path}: sha256 differs from the manifest's; the file is damaged or was "
                "exchanged: restore the bundle"
            )


def load_weights(directory: Path, name: str = WEIGHTS) -> dict[str, NDArray[np.float64]]:
    """Read the weights as float64 arrays; raise BundleError if unreadable or not finite."""
    from safetensors import SafetensorError  # noqa: PLC0415  # keeps `import models.bundle` light
    from safetensors.numpy import load_file  # noqa: PLC0415

    path = directory / name
    try:
        raw = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); restore the bundle") from error
    weights = {name: np.asarray(value, dtype=np.float64) for name, value in raw.items()}
    for tensor, value in weights.items():
        if not np.all(np.isfinite(value)):
            raise BundleError(f"{path}: {tensor}: holds values that are not finite; train again")
    return weights


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest.json` whole or not at all."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, allow_nan=False)
    draft = directory / f".{MANIFEST}.draft"
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(directory / MANIFEST)
