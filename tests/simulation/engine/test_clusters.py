"""A cluster's address: private, or asked for by name; and what a user is told who joins one."""

import socket
from ipaddress import ip_address

import pytest
from ray._private import services

from simulation.config import RunConfig
from simulation.engine.clusters import check_cluster, check_network, is_private, loopback_as_given, warning_of
from simulation.engine.config import EngineConfig
from simulation.engine.failures import EngineError
from simulation.run.accepted_input import accept_input
from tests.simulation.conftest import WEIGHTS_ONLY, simulated

PRIVATE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.7.7", "169.254.1.1", "::1", "fd00::1"]
PRIVATE += ["fe80::1", "::ffff:10.0.0.1"]
PUBLIC = ["8.8.8.8", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.64.0.1", "0.0.0.0", "2001:db8::1", "::"]
PUBLIC += ["::ffff:8.8.8.8"]


def test_what_is_private():
    assert [one for one in PRIVATE if not is_private(ip_address(one))] == []
    assert [one for one in PUBLIC if is_private(ip_address(one))] == []


@pytest.fixture
def somebody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("address", ["203.0.113.7:6379", "[2001:db8::7]:6379"])
def test_a_public_address_is_refused_before_anybody_is_asked(address):
    with pytest.raises(EngineError) as refused:
        check_cluster(address, trust_network=False)
    said = "a cluster in a private network, since whoever reaches its ports runs code there (--engine.trust-network"
    with pytest.raises(EngineError, match="private"):
        accept_input(RunConfig(engine=EngineConfig(address=address)))  # before anything is started
    host = address.rpartition(":")[0].strip("[]")
    assert str(refused.value) == f"--engine.address {address}: expected {said} joins any), found {host}"


def test_a_name_is_refused_for_what_it_stands_for(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 6379)) for one in ("10.0.0.1", "203.0.113.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(EngineError, match=r"found head\.example at 203\.0\.113\.7$"):
        check_cluster("head.example:6379", trust_network=False)


def test_auto_is_refused_for_what_it_joins(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "203.0.113.7:6379")
    for check in (check_network, check_cluster):
        with pytest.raises(EngineError, match=r"^--engine\.address auto: .* found 203\.0\.113\.7$"):
            check("auto", trust_network=False)


def test_a_private_address_is_joined_and_a_trusted_one_is_tried(somebody, monkeypatch):
    assert check_cluster(somebody, trust_network=False) == somebody
    tried = []

    def connect(where, **_):
        tried.append(where)
        raise OSError("nobody there")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(OSError, match="nobody there"):
        check_cluster("203.0.113.7:6379", trust_network=True)
    assert tried == [("203.0.113.7", 6379)]


def test_a_cluster_on_loopback_alone_is_looked_for_there(somebody, monkeypatch):
    """Ray means the machine's address in the network, here another one on which nobody listens."""
    monkeypatch.setattr(services, "get_node_ip_address", lambda: "127.0.0.2")
    as_ray_does = services.canonicalize_bootstrap_address
    port = int(somebody.partition(":")[2])
    assert as_ray_does(somebody) == f"127.0.0.2:{port}"
    with loopback_as_given(somebody):
        assert as_ray_does(somebody) == somebody
    with socket.create_server(("127.0.0.2", port)), loopback_as_given(somebody):
        assert as_ray_does(somebody) == f"127.0.0.2:{port}"  # it listens there, too, as clusters do
    assert as_ray_does(somebody) == f"127.0.0.2:{port}"


def test_who_joins_a_cluster_is_told_what_ray_does_not_protect():
    assert "whoever reaches its ports runs code" in warning_of("auto") and "docs/engine.md" in warning_of("auto")


def test_auto_without_a_cluster_is_told_in_words_of_our_own(monkeypatch):
    from ray._private import services

    def nobody(_):
        raise ConnectionError("Please specify which one using the `--address` flag")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "canonicalize_bootstrap_address_or_die", nobody)
    with pytest.raises(ConnectionError, match=r"^none on this machine, or several; HOST:PORT names one$"):
        check_cluster("auto", trust_network=False)


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_a_run_without_the_cluster_that_it_names_leaves_no_folder(address, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # where `auto` looks first; nobody listens there
    # Ray takes it for this machine's address in the network, which may be no private one.
    own = ("--engine.address", address, "--engine.trust-network", "--output-dir", tmp_path / "runs" / "mine")
    with pytest.raises(EngineError, match=rf"^--engine\.address {address}: expected a cluster that can be joined"):
        simulated(None, (*WEIGHTS_ONLY, *own))
    assert not (tmp_path / "runs").exists()
