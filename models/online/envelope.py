"""Whether a setpoint can be tracked: the question of every scan, in a few comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import Manifest

    F64 = NDArray[np.float64]


class Envelope:
    """The setpoint envelope of a manifest as arrays."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._low = np.array([cv.low for cv in manifest.cvs])
        self._high = np.array([cv.high for cv in manifest.cvs])
        sides = manifest.setpoint_envelope
        self._normals = np.array([side.normal for side in sides]).reshape(-1, len(manifest.cvs))
        self._limits = np.array([side.limit for side in sides])

    def refuses(self, setpoint: F64) -> str | None:
        """Why a setpoint (n_cv,) [CV units] cannot be tracked, or None if it can."""
        inside = (self._low <= setpoint).all() and (setpoint <= self._high).all()
        if inside and (self._normals @ setpoint <= self._limits).all():
            return None
        return self._manifest.setpoint_in_envelope(setpoint)
