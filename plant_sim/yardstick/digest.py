"""A pilot's identity: results kept under it stay valid while it does not change."""

import hashlib
import json
from typing import Any


def digest_of(kind: str, figures: dict[str, Any]) -> str:
    """SHA-256 (hex) over a pilot's kind and figures, in one canonical form."""
    text = json.dumps({"kind": kind, **figures}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
