"""The folder of keys and certificates of a deployment, and of who signs what comes of it.

    ca.crt, ca.key           the authority: every machine has the first, none the second
    server.crt, server.key   the SuperLink's
    nodes/NAME, NAME.pub     a SuperNode's key in OpenSSH form; the public part is registered with the SuperLink
    signers/NAME.key, .pub   of who signs releases, see `typefleet.signing.key_files`

What is there is never written over. Private keys can be read by their owner only, and so can the folder.
"""

import os
import re
import stat
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from simulation.deployment.certificates import Authority, new_authority, new_key, server_certificate
from simulation.deployment.signers import signer_contents
from typefleet.errors import ConfigError, expected, unreadable, unwritable
from typefleet.untrusted.limits import KEY_BYTES
from typefleet.untrusted.opening import read_bytes

_LONGEST_NAME = 64
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_PRIVATE, _PUBLIC = 0o600, 0o644


@dataclass(frozen=True)
class Made:
    """A file that was written."""

    path: Path
    whose: str  # which machine has it
    valid_until: datetime | None = None  # of certificates


@dataclass(frozen=True)
class Signers:
    """Who is to have a key that signs releases.

    Attributes:
        each: texts such as `privacy-officer:eve`.
        passphrase: place of the one that keeps the private files, if any does.
        hybrid: refuse to make keys for Ed25519 alone.
    """

    each: tuple[str, ...] = ()
    passphrase: str | None = None
    hybrid: bool = False


def make_keys(
    folder: Path,
    hosts: Sequence[str],
    nodes: Sequence[str],
    days: int,
    now: datetime | None = None,
    *,
    signers: Signers | None = None,
) -> list[Made]:
    """Make what a deployment needs, or what it needs more of.

    Args:
        folder: of all of it; its authority is used if it has one.
        hosts: names and addresses of the server's certificate; none if no server is asked for.
        nodes: names of SuperNodes that a key is made for.
        days: that the server's certificate is valid for.
        now: the time; the clock's by default.
        signers: of releases that a key is made for.

    Raises:
        ConfigError: nothing is asked for, something is there already, or a name or the folder cannot be used. Then
            nothing was written.
    """
    now, signers = now or datetime.now(UTC), signers or Signers()
    if not hosts and not nodes and not signers.each:
        raise ConfigError(expected("--hosts, --nodes and --signers", "at least one of them", "none"))
    _check_names(nodes)
    _check_folder(folder)
    drafts = [*(_server_files(folder, hosts, days, now) if hosts else ()), *_node_files(folder, nodes)]
    drafts += _signer_files(folder, signers)
    for made, _, _ in drafts:
        if made.path.exists() or made.path.is_symlink():
            raise ConfigError(expected(made.path, "no such file, since keys are never written over", "one"))
    _make_folders(folder, {made.path.parent for made, _, _ in drafts})
    for made, content, mode in drafts:
        _write_new(made.path, content, mode)
    return [made for made, _, _ in drafts]


def _check_names(nodes: Sequence[str]) -> None:
    for name in nodes:
        if not _NODE_NAME.fullmatch(name) or name.endswith(".pub") or len(name) > _LONGEST_NAME:
            what = f"names of at most {_LONGEST_NAME} letters, digits, - and _"
            raise ConfigError(expected("--nodes", what, repr(name[:_LONGEST_NAME])))
    if len(set(nodes)) < len(nodes):
        raise ConfigError(expected("--nodes", "each name once", " ".join(nodes)))


Draft = tuple[Made, bytes, int]  # the file, its content and its permissions


def _server_files(folder: Path, hosts: Sequence[str], days: int, now: datetime) -> list[Draft]:
    """The server's key and certificate, and before them the authority's if there is none."""
    drafts: list[Draft] = []
    certificate_file, key_file = folder / "ca.crt", folder / "ca.key"
    if certificate_file.exists() or key_file.exists():
        authority = _read_authority(certificate_file, key_file)
    else:
        authority = new_authority(now)
        until = authority.certificate.not_valid_after_utc
        drafts.append((Made(key_file, "nobody: keep it offline"), _private_pem(authority.key), _PRIVATE))
        drafts.append((Made(certificate_file, "all machines", until), _certificate_pem(authority), _PUBLIC))
    key = new_key()
    certificate = server_certificate(authority, key, hosts, now, days)
    made = Made(folder / "server.crt", "SuperLink", certificate.not_valid_after_utc)
    drafts.append((Made(folder / "server.key", "SuperLink"), _private_pem(key), _PRIVATE))
    drafts.append((made, certificate.public_bytes(Encoding.PEM), _PUBLIC))
    return drafts


def _node_files(folder: Path, nodes: Sequence[str]) -> list[Draft]:
    drafts: list[Draft] = []
    for name in nodes:
        key, path = new_key(), folder / "nodes" / name
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + f" {name}\n".encode()
        drafts.append((Made(path, f"SuperNode {name}"), private, _PRIVATE))
        drafts.append((Made(path.with_name(f"{name}.pub"), "whoever registers it"), public, _PUBLIC))
    return drafts


def _signer_files(folder: Path, signers: Signers) -> list[Draft]:
    drafts: list[Draft] = []
    for signer, private, public in signer_contents(signers.each, signers.passphrase, signers.hybrid):
        path = folder / "signers" / f"{signer.holder}.key"
        whose = f"{signer.holder}: {signer.role}, {' and '.join(signer.key.algorithms)}"
        drafts.append((Made(path, whose), private, _PRIVATE))
        drafts.append((Made(path.with_suffix(".pub"), "who verifies releases"), public, _PUBLIC))
    return drafts


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(authority: Authority) -> bytes:
    return authority.certificate.public_bytes(Encoding.PEM)


def _read_authority(certificate_file: Path, key_file: Path) -> Authority:
    """The one of the folder."""
    what, of_key = "the authority's certificate", "the authority's private key"
    try:
        certificate = x509.load_pem_x509_certificate(read_bytes(certificate_file, what, ConfigError, KEY_BYTES))
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigError(_no_pem(certificate_file, error, what)) from error
    try:
        key = load_pem_private_key(read_bytes(key_file, of_key, ConfigError, KEY_BYTES), None)
    except ConfigError:
        raise
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(_no_pem(key_file, error, of_key)) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(expected(key_file, f"the private key of {certificate_file.name}", "another one"))
    return Authority(key, certificate)


def _no_pem(path: Path, error: Exception, what: str) -> str:
    return unreadable(path, error, what) if isinstance(error, OSError) else expected(path, what, "no PEM of one")


def _check_folder(folder: Path) -> None:
    for part in (folder, folder / "nodes", folder / "signers"):
        try:
            found = part.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(unreadable(part, error, "a folder for keys")) from error
        if not stat.S_ISDIR(found.st_mode):
            raise ConfigError(expected(part, "a folder for keys", "a file"))
        if found.st_mode & 0o077:
            mode = f"permissions {stat.S_IMODE(found.st_mode):04o}"
            raise ConfigError(expected(part, "a folder that its owner alone can enter (0700)", mode))


def _make_folders(folder: Path, inner: Collection[Path]) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for part in (folder, *sorted(set(inner) - {folder})):
            part.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(unwritable(folder, error)) from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, and never over another one, whoever puts it there meanwhile."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".draft-")  # its owner's alone
        draft = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(mode)
            os.link(draft, path)  # unlike a rename, it fails where there is a file
        finally:
            draft.unlink()
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error
