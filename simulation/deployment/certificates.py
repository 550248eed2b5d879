"""A certificate authority of one's own and the certificate of a server: X.509, P-384 keys, ECDSA with SHA-384.

The authority signs one server and no other authority (path length 0). The server's names are its subject alternative
names, which is where TLS clients look for them (RFC 6125, section 6.4.4).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from typefleet.errors import ConfigError, expected

AUTHORITY_DAYS = 3650
_CLOCKS_DIFFER_BY = timedelta(minutes=5)  # a machine whose clock is behind takes the certificate at once
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBERS_ONLY = re.compile(r"[0-9.]+")  # an address with a mistake in it rather than a name


@dataclass(frozen=True)
class Authority:
    """Who vouches for the server."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key on NIST's curve P-384, which Flower asks for in SuperNodes."""
    return ec.generate_private_key(ec.SECP384R1())


def new_authority(now: datetime) -> Authority:
    """An authority that is valid for `AUTHORITY_DAYS` days from `now`, which has a time zone."""
    key, name = new_key(), _named("Typefleet deployment authority")
    certificate = (
        _drafted(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    return Authority(key, certificate)


def server_certificate(
    authority: Authority, key: ec.EllipticCurvePrivateKey, hosts: Sequence[str], now: datetime, days: int
) -> x509.Certificate:
    """The certificate of a server with this key.

    Args:
        authority: signs it.
        key: of the server.
        hosts: names and addresses under which the server is reached; at least one.
        now: the time, with a time zone.
        days: of validity.

    Raises:
        ConfigError: a host is neither a name nor an address, or the authority ends before the certificate.
    """
    names = x509.SubjectAlternativeName([_alternative(host) for host in dict.fromkeys(hosts)])
    ends = authority.certificate.not_valid_after_utc
    if now + timedelta(days=days) > ends:
        left = max((ends - now).days, 0)
        raise ConfigError(expected("--days", f"at most {left}, which the authority is still valid for", days))
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return (
        _drafted(_named("Typefleet SuperLink"), authority.certificate.subject, key, now, days)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
        .sign(authority.key, hashes.SHA384())
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _drafted(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    if len(host) > 253 or not _HOST_NAME.fullmatch(host) or _NUMBERS_ONLY.fullmatch(host):
        raise ConfigError(expected("--hosts", "names and addresses of a server, without a port", repr(host)))
    return x509.DNSName(host)
