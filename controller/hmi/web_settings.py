"""[web] of hmi.toml: where browsers connect, and which proxies stand in between."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from controller.configuration.settings import Section


def _host_name(name: str) -> str:
    if not name or set(name) & set("/ \t:@"):
        raise ValueError('a name or an address without port, as "hmi.plant.example"')
    return name.lower()


def _proxy(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    if network is None or network.prefixlen == 0:
        raise ValueError('the address or network of a proxy, as "127.0.0.1" or "10.1.2.0/29"')
    return text


HostName = Annotated[str, AfterValidator(_host_name)]
Proxy = Annotated[str, AfterValidator(_proxy)]


class WebSettings(Section):
    """Where browsers connect.

    host: an address of this machine; any but loopback needs TLS.  port 0 = any free one.  names:
    what people type besides the address; a request for another name is refused.  tls_certificate,
    tls_key: PEM files; the key only its owner may read.  proxies: addresses of proxies whose
    X-Forwarded-For and X-Forwarded-Proto are believed.  behind_tls: browsers come over https to a
    proxy that encrypts, so cookies are Secure.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    names: tuple[HostName, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    proxies: tuple[Proxy, ...] = ()
    behind_tls: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key, both or neither")
        return self

    @property
    def encrypted(self) -> bool:
        """Whether this server itself speaks TLS."""
        return self.tls_certificate is not None

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers come over https, to this server or to a proxy before it."""
        return self.encrypted or self.behind_tls

    @property
    def on_loopback(self) -> bool:
        """Whether the address never leaves this machine."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def tells_apart(self) -> bool:
        """Whether browsers have addresses of their own, as far as requests tell."""
        return not self.on_loopback or bool(self.proxies)

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """The proxies, and the same as a socket of IPv6 calls those of IPv4."""
        networks = [ip_network(proxy) for proxy in self.proxies]
        mapped = (
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in networks
            if isinstance(network, IPv4Network)
        )
        return (*self.proxies, *mapped)

    def is_proxy(self, address: str) -> bool:
        """Whether a connection from this address is one of a proxy."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in ip_network(proxy) for proxy in self.proxies)
