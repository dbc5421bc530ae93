"""The port on which Prometheus reads the metrics.

The format is agreed on with whoever asks: OpenMetrics, with exemplars, to Prometheus; the plain
text format to others.  A scrape renders in a thread of its own, beside the scans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import start_http_server as serve_registry

if TYPE_CHECKING:
    from collections.abc import Iterable
    from threading import Thread
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client import CollectorRegistry

OPEN_METRICS = "application/openmetrics-text;"


class MetricsServer:
    """Serves a registry over HTTP from a daemon thread; `port` is the port really bound."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        """Bind and begin to serve.  Raises OSError when the address cannot be bound."""
        served: tuple[WSGIServer, Thread] = serve_registry(port, addr=host, registry=registry)
        self._server, self._thread = served
        self._server.set_app(_unescaped(self._server.get_app()))
        self.port: int = self._server.server_port
        self.url = f"http://{host}:{self.port}/metrics"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5.0)


def _unescaped(app: WSGIApplication | None) -> WSGIApplication:
    """An application that looks for nothing to escape in the names of metrics.

    Ours are plain, so the text is the same; looking letter by letter is half of a scrape's time.
    """
    if app is None:
        raise AssertionError("a server of metrics without an application")

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        accepted = environ.get("HTTP_ACCEPT", "")
        asked = f"{OPEN_METRICS}escaping=allow-utf-8;"
        environ["HTTP_ACCEPT"] = accepted.replace(OPEN_METRICS, asked)
        return app(environ, start_response)

    return answer
