"""Keys of a deployment: what OpenSSL and Flower's own readers take, private, and never written over."""

import ipaddress
import os
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from socket import socketpair

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key
from cryptography.x509.verification import PolicyBuilder, Store

from simulation.deployment.keys import make_keys
from typefleet.errors import ConfigError

NOW = datetime.now(UTC)


@pytest.fixture
def keys(tmp_path):
    make_keys(tmp_path / "keys", ["localhost", "127.0.0.1", "fl.example.org"], ["berlin", "paris-2"], 30, NOW)
    return tmp_path / "keys"


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def shake_hands(folder, name, trusted=None):
    """A TLS handshake with the server's files, as a client that knows it under `name`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    client = ssl.create_default_context(cafile=(trusted or folder) / "ca.crt")
    here, there = socketpair()

    def answer():
        try:
            with server.wrap_socket(there, server_side=True):
                pass
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as connection:
            return connection.version()
    finally:
        here.close()
        thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "fl.example.org"])
def test_a_client_that_trusts_the_authority_accepts_the_server_under_each_of_its_names(keys, name):
    assert shake_hands(keys, name) == "TLSv1.3"


def test_a_client_refuses_another_name_and_another_authority(keys, tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(keys, "elsewhere.example.org")
    make_keys(tmp_path / "others", ["localhost"], [], 30)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(keys, "localhost", tmp_path / "others")


def test_certificates_hold_what_the_rules_of_the_web_ask_for(keys):
    """An independent verifier, stricter than TLS clients: key usage, path length, names, times."""
    for name in (x509.DNSName("fl.example.org"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))):
        policy = PolicyBuilder().store(Store([certificate(keys / "ca.crt")])).time(NOW).build_server_verifier(name)
        assert len(policy.verify(certificate(keys / "server.crt"), [])) == 2
    server, authority = certificate(keys / "server.crt"), certificate(keys / "ca.crt")
    assert server.not_valid_after_utc - NOW <= timedelta(days=30)
    assert authority.not_valid_after_utc - NOW > timedelta(days=3600)
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize("name", ["berlin", "paris-2"])
def test_node_keys_are_what_flower_reads(keys, name):
    private = load_ssh_private_key((keys / "nodes" / name).read_bytes(), None)
    public = load_ssh_public_key((keys / "nodes" / f"{name}.pub").read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public


def test_what_is_private_can_be_read_by_its_owner_only(tmp_path):
    before = os.umask(0)  # which hides nothing
    try:
        make_keys(tmp_path / "keys", ["localhost"], ["berlin"], 30)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / "keys", *(tmp_path / "keys").rglob("*")]}
    assert {name for name, mode in modes.items() if mode == 0o700} == {"keys", "nodes"}
    assert {name for name, mode in modes.items() if mode == 0o600} == {"ca.key", "server.key", "berlin"}
    assert {name for name, mode in modes.items() if mode == 0o644} == {"ca.crt", "server.crt", "berlin.pub"}


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_node_and_a_renewed_server_are_added_under_the_same_authority(keys):
    before = contents(keys)
    make_keys(keys, [], ["rome"], 30)
    for name in ("server.crt", "server.key"):
        (keys / name).unlink()
    make_keys(keys, ["localhost"], [], 60)
    assert shake_hands(keys, "localhost") == "TLSv1.3"
    after = contents(keys)
    changed = {path.name for path, content in before.items() if after[path] != content}
    assert changed == {"server.crt", "server.key"} and len(after) == len(before) + 2


REFUSED = {
    "a server that is there": (["localhost"], [], "server.key: expected no such file, since keys .* found one"),
    "a node that is there": ([], ["rome", "berlin"], "nodes/berlin: expected no such file, .* found one"),
    "nothing to make": ([], [], "^--hosts, --nodes and --signers: expected at least one of them, found none$"),
    "a port": (["localhost:9092"], [], "^--hosts: expected names and addresses .*, found 'localhost:9092'$"),
    "half an address": (["127.0.0"], [], "^--hosts: expected names and addresses"),
    "a star": (["*.example.org"], [], "^--hosts: expected names and addresses"),
    "a way out of the folder": ([], ["../berlin"], "^--nodes: expected names of at most 64 letters"),
    "a name of a public key": ([], ["berlin.pub"], "^--nodes: expected names of at most 64 letters"),
    "a name longer than a file's": ([], ["r" * 300], "^--nodes: expected names of at most 64 letters"),
    "a node twice": ([], ["rome", "rome"], "^--nodes: expected each name once, found rome rome$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(keys, case):
    hosts, nodes, message = REFUSED[case]
    before = contents(keys)
    with pytest.raises(ConfigError, match=message):
        make_keys(keys, hosts, nodes, 30)
    assert contents(keys) == before


def test_a_certificate_does_not_outlive_its_authority(keys):
    (keys / "server.crt").unlink()
    (keys / "server.key").unlink()
    with pytest.raises(ConfigError, match=r"^--days: expected at most 36\d\d, which .*, found 4000$"):
        make_keys(keys, ["localhost"], [], 4000)
    assert not (keys / "server.key").exists()


def test_a_folder_that_others_can_enter_is_refused(keys):
    keys.chmod(0o755)
    with pytest.raises(ConfigError, match=r"keys: expected a folder that its owner alone can enter .* 0755$"):
        make_keys(keys, [], ["rome"], 30)


def test_an_authority_with_another_key_is_refused(keys, tmp_path):
    make_keys(tmp_path / "others", ["localhost"], [], 30)
    (keys / "ca.key").write_bytes((tmp_path / "others" / "ca.key").read_bytes())
    for name in ("server.crt", "server.key"):
        (keys / name).unlink()
    with pytest.raises(ConfigError, match=r"ca\.key: expected the private key of ca\.crt, found another one$"):
        make_keys(keys, ["localhost"], [], 30)
    (keys / "ca.key").unlink()
    with pytest.raises(ConfigError, match=r"ca\.key: expected the authority's private key, found no such file"):
        make_keys(keys, ["localhost"], [], 30)
    (keys / "ca.key").write_text("not a key")
    with pytest.raises(ConfigError, match=r"ca\.key: expected the authority's private key, found no PEM of one$"):
        make_keys(keys, ["localhost"], [], 30)
