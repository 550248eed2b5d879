"""Clusters that are joined: what Ray does not protect, and addresses that are refused for it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from simulation.engine.failures import EngineError
from typefleet.errors import expected

# Loopback, private use (RFC 1918), link-local (RFC 3927), and the same of IPv6 (RFC 4291, unique local: RFC 4193).
_PRIVATE = tuple(
    ip_network(one)
    for one in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_PROBE_S = 8.0
TRUST_FLAG = "--engine.trust-network"


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Whether packets to an address stay on this machine or in a private network."""
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in _PRIVATE if network.version == address.version)


def check_network(address: str, trust_network: bool) -> None:
    """Refuse an address in a network that is not private, as far as that is known before Ray is asked.

    Args:
        address: "auto", or HOST:PORT.
        trust_network: join a cluster wherever it is.

    Raises:
        EngineError: it leads through a network that is not private.
    """
    joined = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    with suppress(ValueError, OSError):  # said when it is joined
        _check_network(address, joined, trust_network)


def check_cluster(address: str, trust_network: bool) -> str:
    """The HOST:PORT of the cluster that an address means; somebody is there, and the network may be used.

    Args:
        address, trust_network: see `check_network`.

    Raises:
        EngineError: it leads through a network that is not private.
        ValueError: it is no address.
        OSError: there is nobody.
    """
    joined = _found_by_ray() if address == "auto" else address
    place = _check_network(address, joined, trust_network)
    socket.create_connection(place, timeout=_PROBE_S).close()  # Ray itself would ask for minutes
    return joined


@contextmanager
def loopback_as_given(joined: str) -> Iterator[None]:
    """Let Ray join a cluster of this machine that listens on loopback alone.

    Ray takes 127.0.0.1 for the machine's address in the network. Such a cluster is not there, and Ray would ask for
    minutes. `ray.init` has no argument for it.

    Args:
        joined: HOST:PORT of a cluster, as `check_cluster` gives it.
    """
    from ray._private import services

    named: Any = services
    by_ray = named.resolve_ip_for_localhost
    host, _, port = joined.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    elsewhere = by_ray(host)
    try:
        if elsewhere != host:
            socket.create_connection((elsewhere, int(port)), timeout=_PROBE_S).close()
    except OSError:
        named.resolve_ip_for_localhost = str
    try:
        yield
    finally:
        named.resolve_ip_for_localhost = by_ray


def _check_network(address: str, joined: str, trust_network: bool) -> tuple[str, int]:
    """Host and port of what is joined for an address."""
    host, _, port = joined.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("an address that is neither auto nor HOST:PORT")
    host = host.removeprefix("[").removesuffix("]")
    found = dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM))
    beyond = [one for one in found if not is_private(ip_address(one.partition("%")[0]))]
    if beyond and not trust_network:
        at = "" if beyond[0] == host else f"{host} at "
        where = "a cluster in a private network, since whoever reaches its ports runs code there"
        raise EngineError(expected(f"--engine.address {address}", f"{where} ({TRUST_FLAG} joins any)", at + beyond[0]))
    return host, int(port)


def _found_by_ray() -> str:
    """What Ray takes "auto" for: the cluster of RAY_ADDRESS, or one that runs on this machine."""
    from ray._private import services

    named: Any = services
    try:
        return str(named.canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError:  # whose own words name a flag of Ray's
        raise ConnectionError("none on this machine, or several; HOST:PORT names one") from None


def warning_of(address: str) -> str:
    """What a user has to know who joins a cluster, in one paragraph.

    Args:
        address: as it was given.
    """
    return (
        f"cluster     {address}: Ray {version('ray')} asks nobody who they are, and whoever reaches its ports runs "
        "code on its machines: use a private network, or Ray's TLS (docs/engine.md)"
    )
