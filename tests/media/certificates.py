"""Certificates for tests: an authority that nobody knows, and a signer with C2PA's profile of certificates."""

from __future__ import annotations

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey


def write_certificates(folder: pathlib.Path) -> str:
    """Writes chain.pem, key.pem and authority.pem. Returns what `--c2pa` takes."""
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(
        "Authority", authority, "Authority", authority, x509.BasicConstraints(True, None), _usage(signs_others=True)
    )
    mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    leaf = _certificate("Signer", key, "Authority", authority, x509.BasicConstraints(False, None), _usage(), mail)
    (folder / "authority.pem").write_bytes(root)
    (folder / "chain.pem").write_bytes(leaf + root)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return f"{folder / 'chain.pem'},{folder / 'key.pem'}"


def _usage(signs_others: bool = False) -> x509.KeyUsage:
    names = ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"]
    signs = {"digital_signature": not signs_others, "key_cert_sign": signs_others, "crl_sign": signs_others}
    return x509.KeyUsage(**dict.fromkeys(names, False), **signs)


def _certificate(name: str, key: Key, issuer: str, issuer_key: Key, *extensions: x509.ExtensionType) -> bytes:
    named = lambda text: x509.Name([x509.NameAttribute(oid, text) for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    built = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer)).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    identifiers = (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
    )
    for extension in (*extensions, *identifiers):
        built = built.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints | x509.KeyUsage))
    return built.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)
