"""The port on which Prometheus reads the metrics.

The format is agreed on with whoever asks: OpenMetrics, with exemplars, to Prometheus; the plain
text format to others.  A scrape renders in a thread of its own, beside the scans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import start_http_server as serve_registry

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import CollectorRegistry


class MetricsServer:
    """Serves a registry over HTTP from a daemon thread; `port` is the port really bound."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        """Bind and begin to serve.  Raises OSError when the address cannot be bound."""
        served: tuple[WSGIServer, Thread] = serve_registry(port, addr=host, registry=registry)
        self._server, self._thread = served
        self.port: int = self._server.server_port
        self.url = f"http://{host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)
