"""A line to a server that nobody is logged in on."""

import contextlib


@contextlib.asynccontextmanager
async def channel(client):
    """Open a secure channel without a session."""
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        yield client
    finally:
        client.disconnect_socket()
