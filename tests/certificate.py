"""Certificates that vouch for themselves."""

import datetime as dt
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BEGAN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
CENTURY = dt.timedelta(days=36_500)


class Pair(NamedTuple):
    certificate: Path
    key: Path


def encrypted(pair: Pair, password: bytes) -> Pair:
    """The same, its key in a file that only the password opens."""
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(password)
    forms = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    file = pair.key.with_suffix(".locked")
    file.write_bytes(key.private_bytes(*forms))
    return Pair(pair.certificate, file)


def certified(folder: Path, name: str, *whom: str) -> Pair:
    """A certificate for those addresses and hosts that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [_name(each) for each in whom]
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(BEGAN).not_valid_after(BEGAN + CENTURY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    pair.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    forms = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pair.key.write_bytes(key.private_bytes(*forms))
    return pair


def _name(whom: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(whom))
    except ValueError:
        return x509.DNSName(whom)
