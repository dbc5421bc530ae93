"""What every test starts from."""

import pytest
import structlog


def pytest_addoption(parser):
    parser.addoption(
        "--captures",
        metavar="DIR",
        help="keep the exchanges with foreign OPC UA peers (tests/interop) as text in this folder",
    )
    parser.addoption(
        "--screenshots",
        metavar="DIR",
        help="keep a picture of every page of the HMI (tests/browser) in this folder",
    )


@pytest.fixture(autouse=True)
def plain_logging():
    """No test logs to a stream that another one opened and closed."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
