"""Makes the certificates beside it, which lie in the repository so that tests need no tool for them.

Run with any Python that has `cryptography`. They are valid for as long as X.509 can say (but those that must not be),
and their keys are known to everybody.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
LONG_AGO, LAST_YEAR, IN_A_CENTURY, AT_THE_END = (
    datetime(2020, 1, 1),
    datetime(2021, 1, 1),
    datetime(2120, 1, 1),
    datetime(9999, 12, 31),
)
LOCAL = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


def make(name, issuer=None, *, names=LOCAL, authority=False, since=LONG_AGO, until=AT_THE_END):
    """`name.pem`, certificate and key in one file, signed by `issuer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"metagpt-ollama-rs test {name}")])
    signer, signers_key = issuer or (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signers_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(signers_key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (HERE / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return subject, key


# An authority, and what it signs.
authority = make("authority", names=(), authority=True)
make("server", authority)
make("expired", authority, until=LAST_YEAR)
make("early", authority, since=IN_A_CENTURY)
make("elsewhere", authority, names=(x509.DNSName("ollama.example"), x509.DNSName("*.lan.example")))
make("cloud", authority, names=(x509.DNSName("ollama.com"),))
make("nameless", authority, names=())
# What `openssl req -x509` makes, and the same without the mark of an authority.
make("itself", authority=True)
make("itself-plain")
make("itself-expired", authority=True, until=LAST_YEAR)
