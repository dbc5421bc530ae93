"""Numbers as a manifest or a recipe may hold them, and what every section of one has in common."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Frozen(BaseModel):
    """A part of a manifest or a recipe: unchangeable, and no key that is not named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def rounded(value: float, digits: int = 9) -> float:
    """Round to significant digits, so that a manifest reads well."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
