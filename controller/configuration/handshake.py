"""[handshake] of tags.toml: the parts of the hand-shake that a DCS has, and those it lacks."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from controller.configuration.choices import Choice, Choices, OneChoice, among, shown

Part = Literal[
    "heartbeat_in",
    "heartbeat_out",
    "mode",
    "request",
    "permit",
    "active",
    "take_lease",
    "shed",
]
"""Parts of the hand-shake whose absence changes how this controller works."""


class Section(BaseModel):
    """A frozen table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModeValues(Section):
    """What the selector shows for each mode: a value or several, all of one type.

    A selector with two positions has no shadow.
    """

    manual: Choices
    shadow: Choices | None = None
    auto: Choices

    @property
    def all(self) -> tuple[Choice, ...]:
        """Everything that the selector may show."""
        return (*self.manual, *(self.shadow or ()), *self.auto)

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len({type(value) for value in self.all}) != 1 or len(set(self.all)) != len(self.all):
            raise ValueError(
                "different values for manual, shadow and auto: all numbers, all texts, or true "
                "and false"
            )
        return self


class HandshakeTags(Section):
    """What is absent is done without.

    mode_on_shed: what this controller writes to `mode` when it lets go by itself; absent = it
        never writes the selector.  One of the values for manual.
    acknowledge: what an operator calls to say that a shed was seen; the controller never does.
    without: parts that this DCS is known not to have; `trimtab check` says what stands in.
    """

    heartbeat_in: str | None = None
    heartbeat_out: str | None = None
    heartbeat_timeout: str | None = None
    mode: str | None = None
    mode_values: ModeValues = ModeValues(manual=(0,), shadow=(1,), auto=(2,))
    mode_on_shed: OneChoice | None = None
    request: str | None = None
    permit: str | None = None
    active: str | None = None
    shed_reason: str | None = None
    take_lease: str | None = None
    release_lease: str | None = None
    shed: str | None = None
    acknowledge: str | None = None
    without: tuple[Part, ...] = ()

    @field_validator("mode_on_shed")
    @classmethod
    def _lets_go(cls, value: Choice | None, info: ValidationInfo) -> Choice | None:
        """It must mean manual, and there must be a selector to write it to."""
        known = info.data.get("mode_values")
        if value is None or not isinstance(known, ModeValues):
            return value
        if info.data.get("mode") is None:
            raise ValueError("nothing, unless the selector `mode` is given")
        if not among(value, known.manual):
            raise ValueError(f"a value of mode_values.manual: {shown(known.manual)}")
        return value

    @field_validator("without")
    @classmethod
    def _absent(cls, parts: tuple[Part, ...], info: ValidationInfo) -> tuple[Part, ...]:
        for part in parts:
            if info.data.get(part) is not None:
                raise ValueError(f'parts that have no tag above; "{part}" has one')
        return parts


NO_REFERENCES = frozenset({"mode_on_shed"})
"""Keys of the table whose text is no reference to a node."""
