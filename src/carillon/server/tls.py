"""Certificates of the server: the operator's, or ones that it makes for itself, and how clients come to trust them.

`self-signed` makes an authority, has it sign one certificate, and forgets the authority's key: whoever trusts it trusts
this one certificate, and nothing that anybody could make later. `trustme` would do it in fewer lines, but is meant for
tests, and says so in every certificate.
"""

import ipaddress
import secrets
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from botocore.httpsession import get_cert_path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from carillon.config import Settings
from carillon.errors import CarillonError
from carillon.storage.files import make_folder, replace_file

FOLDER: Final = "tls"
BUNDLE: Final = "ca-bundle.pem"
SELF_SIGNED: Final = "self-signed"

_CERTIFICATE: Final = "certificate.pem"
_KEY: Final = "key.pem"
_LIFETIME: Final = timedelta(days=825)  # the longest that Apple's clients accept of an authority of one's own
_RENEW_BEFORE: Final = timedelta(days=30)
_WILDCARDS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - only compared


class TlsUnusable(CarillonError):
    """The certificate or the key that the settings name cannot be used."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files that a TLS server reads."""

    certificate: Path
    key: Path


def certificate_of(settings: Settings) -> Certificate | None:
    """Return the certificate to serve with, None to serve without TLS; a self-signed one is made if need be.

    Raises:
        TlsUnusable: only one of certificate and key is set, they do not belong together, or cannot be read.
    """
    server = settings.server
    if server.tls and (server.tls_cert or server.tls_key):
        raise TlsUnusable(f"Give a certificate and its key, or let {SELF_SIGNED} make them; not both.")
    if server.tls:
        return _self_signed(settings)
    if bool(server.tls_cert) != bool(server.tls_key):
        raise TlsUnusable("A TLS server needs both --tls-cert and --tls-key.")
    if not server.tls_cert:
        return None
    given = Certificate(Path(server.tls_cert).expanduser(), Path(server.tls_key).expanduser())
    _check(given)
    return given


def authorities(settings: Settings, url: str) -> Path | None:
    """Return the file of authorities by which clients of a URL of ours trust it, None if they need none."""
    if not url.startswith("https:"):
        return None
    if settings.server.tls_ca:
        return Path(settings.server.tls_ca).expanduser()
    made = settings.data_dir / FOLDER / BUNDLE
    return made if made.exists() else None


def _check(given: Certificate) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(given.certificate, given.key, password="")
    except (OSError, ssl.SSLError) as error:
        message = f"{given.certificate} and {given.key} cannot be used: {error}. The key must have no password."
        raise TlsUnusable(message) from error


def _self_signed(settings: Settings) -> Certificate:
    folder = settings.data_dir / FOLDER
    make_folder(folder)
    made = Certificate(folder / _CERTIFICATE, folder / _KEY)
    names = list(dict.fromkeys(_names(settings)))
    if not _is_good(made, names) or not (folder / BUNDLE).exists():
        _make(folder, names)
    _check(made)
    return made


def _names(settings: Settings) -> Iterator[str]:
    yield from ("localhost", "127.0.0.1", "::1", socket.gethostname().lower())
    if settings.server.host not in _WILDCARDS:
        yield settings.server.host.lower()
    public = urlsplit(settings.server.public_url).hostname
    if public:
        yield public


def _is_good(made: Certificate, names: Sequence[str]) -> bool:
    """Return whether a certificate that was made earlier is for these names and goes on for a while."""
    try:
        held = x509.load_pem_x509_certificate(made.certificate.read_bytes())
        if not made.key.exists():
            return False
    except (OSError, ValueError):
        return False
    covered = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if not all(_general_name(name) in covered for name in names):
        return False
    return held.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE


def _make(folder: Path, names: Sequence[str]) -> None:
    now = datetime.now(UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _subject(f"carillon {now:%Y-%m-%d} {secrets.token_hex(4)}")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _builder(_subject("carillon"), authority_name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    replace_file(folder / _KEY, private)
    replace_file(folder / _CERTIFICATE, certificate.public_bytes(pem))
    # AWS_CA_BUNDLE replaces what an SDK trusts, and the same process may well talk to the real AWS.
    others = Path(get_cert_path(True)).read_bytes()
    replace_file(folder / BUNDLE, authority.public_bytes(pem) + others)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a client's clock may be slow
        .not_valid_after(now + _LIFETIME)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


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


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
