"""TLS for the local AWS: an authority made for this run, and its certificate for 127.0.0.1.

Without TLS the bucket of backups refuses what is sent to it, as its policy says.
"""

import ipaddress
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def make(folder):
    """Writes the authority's certificate, and certificate and key of 127.0.0.1. Answers with the three files."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate("Rollcall's tests", authority_key.public_key(), authority_key, "Rollcall's tests", True)
    server = certificate("127.0.0.1", key.public_key(), authority_key, "Rollcall's tests", False)
    files = [folder / name for name in ("authority.pem", "server.pem", "server.key")]
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for file, text in zip(files, [authority, server, private]):
        file.touch(mode=0o600)
        file.write_bytes(text)
    return files


def certificate(subject, public_key, signed_with, issuer, is_authority):
    """A certificate for a day, in PEM."""

    def named(name):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        address = x509.IPAddress(ipaddress.ip_address(subject))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(signed_with, hashes.SHA256()).public_bytes(Encoding.PEM)
