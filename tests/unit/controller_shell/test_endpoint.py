"""As whom a client connects."""

import pytest

from controller.opcua.endpoint import Endpoint


def endpoint(user):
    return Endpoint(url="opc.tcp://127.0.0.1:1", user=user, password=None, connect_timeout_s=1.0)


async def test_an_empty_user_is_not_taken_for_anonymous():
    with pytest.raises(ValueError, match="user"):
        endpoint("").client()
    assert endpoint("apc").client()._username == "apc"
    assert endpoint(None).client()._username is None
