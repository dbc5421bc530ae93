"""What every test starts from."""

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logging():
    """No test logs to a stream that another one opened and closed."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
