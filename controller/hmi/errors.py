"""Requests that are refused, in words."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class RefusedError(Exception):
    """A request that is not served.  status: of HTTP; the message is for people."""

    def __init__(
        self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(message)


def malformed(message: str) -> RefusedError:
    """What was sent cannot be read."""
    return RefusedError(HTTPStatus.BAD_REQUEST, message)


def unknown(message: str) -> RefusedError:
    """What was asked for does not exist."""
    return RefusedError(HTTPStatus.NOT_FOUND, message)
