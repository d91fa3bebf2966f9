"""Sign reports, and check signed ones: a detached JWS (RFC 7515) over the report in canonical JSON (RFC 8785).

The signature is a field of the report; its header carries the chain of certificates (`x5c`) and the time (`iat`).
"""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import jwt
import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from unmask.errors import BadInput
from unmask.text import printable_line

FIELD = "signature"
KIND = "unmask-report+jws"
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
MIN_RSA_BITS = 2048
MAX_NAME, MAX_SIGNATURE = 100, 100_000  # characters
MAX_AHEAD_SECONDS = 86_400  # of a signer's clock
UNREADABLE = (  # certificates
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

AnyReport = TypeVar("AnyReport", bound=Mapping[str, Any])
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Signer:
    """A key with its certificates, that of the key first."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    def sign(self, report: AnyReport) -> AnyReport:
        """Return the report with its signature."""
        body = {name: value for name, value in report.items() if name != FIELD}
        certificates = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in self.chain]
        headers = {"typ": KIND, "x5c": certificates, "iat": int(time.time())}
        algorithm = _algorithm(self.key)
        compact = jwt.api_jws.encode(rfc8785.dumps(body), self.key, algorithm, headers)
        head, _, signature = compact.split(".")
        return {**body, FIELD: f"{head}..{signature}"}  # type: ignore[return-value]


@dataclass(frozen=True)
class Signed:
    """Who signed a report that holds."""

    name: str
    at: datetime
    trusted: bool | None  # by a list; None: there was none


class NotValid(ValueError):
    """Raised when a report has no signature, or one that does not hold. The message is a sentence."""


def to_signer(key: str, chain: str) -> Signer:
    """Read a private key and its certificates: PEM, or the path of a PEM file. Raises BadInput."""
    certificates = read_certificates(chain)
    try:
        private: Any = load_pem_private_key(read_pem(key).encode(), None)
    except (ValueError, TypeError) as error:
        raise BadInput("The key to sign with is no private key in PEM without a password.") from error
    if not isinstance(private, Key) or not _algorithm(private):
        raise BadInput("A key to sign with must be of P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more.")
    if private.public_key() != certificates[0].public_key():
        raise BadInput("The first certificate of the chain is not that of the key to sign with.")
    return Signer(private, certificates)


def read_certificates(text: str) -> tuple[x509.Certificate, ...]:
    """Read one or more certificates: PEM, or the path of a PEM file. Raises BadInput."""
    try:
        return tuple(x509.load_pem_x509_certificates(read_pem(text).encode()))
    except ValueError as error:
        raise BadInput("There are no certificates in PEM in what was given as a chain or a trust list.") from error


def read_pem(text: str) -> str:
    """Read PEM, given itself, as in a secret of a Space, or as a path. Raises BadInput, which does not repeat it."""
    if "-----BEGIN" in text:
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise BadInput("A key or certificates are neither PEM nor a PEM file that can be read.") from None


def parse_report(text: str) -> Mapping[str, Any]:
    """Parse a report that may be signed: JSON that everybody reads alike. Raises NotValid."""
    try:
        report = json.loads(text, object_pairs_hook=_to_unique_fields)
    except (ValueError, RecursionError) as error:
        raise NotValid("It is no report in JSON, or has fields of the same name.") from error
    return report if isinstance(report, dict) else {}


def _to_unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("A field is there twice.")
    return fields


def verify(report: Mapping[str, Any], trusted: Sequence[x509.Certificate] = ()) -> Signed:
    """Check that a report is as it was signed. Raises NotValid.

    Args:
        report: As it was parsed.
        trusted: Certificates of signers, or of their issuers.
    """
    signature = report.get(FIELD)
    if not isinstance(signature, str):
        raise NotValid("This report is not signed.")
    try:
        head, empty, value = signature.split(".")
        if len(signature) > MAX_SIGNATURE:
            raise ValueError("It is too long.")
        header = jwt.api_jws.get_unverified_header(signature)
        chain = [x509.load_der_x509_certificate(base64.b64decode(each, validate=True)) for each in header["x5c"]]
        leaf, at = chain[0], datetime.fromtimestamp(header["iat"], UTC)
        name, public = _name(leaf), leaf.public_key()
    except (*UNREADABLE, KeyError, IndexError, OverflowError, jwt.InvalidTokenError) as error:
        raise NotValid("The signature of this report cannot be read.") from error
    if empty or header.get("typ") != KIND:
        raise NotValid("The signature of this report is of another kind.")
    try:
        body = rfc8785.dumps({key: item for key, item in report.items() if key != FIELD})
        payload = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
        jwt.api_jws.decode(f"{head}.{payload}.{value}", public, algorithms=[_algorithm(public)])  # type: ignore[arg-type]
    except (jwt.PyJWTError, rfc8785.CanonicalizationError, TypeError, ValueError, RecursionError) as error:
        raise NotValid(f"This report was changed after {name} signed it, or never signed by them.") from error
    if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
        raise NotValid(f"The certificate of {name} was not valid when the report was signed.")
    if at.timestamp() > time.time() + MAX_AHEAD_SECONDS:
        raise NotValid(f"It says that {name} signed it at a time to come.")
    return Signed(name, at, _is_trusted(chain, trusted, at) if trusted else None)


def _is_trusted(chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], at: datetime) -> bool:
    """Follow the chain, each certificate issued by the next, to one that is trusted."""
    for place, certificate in enumerate(chain):
        if place and not _issued(certificate, chain[place - 1], at, place - 1):
            return False
        if certificate in trusted or any(_issued(issuer, certificate, at, place) for issuer in trusted):
            return True
    return False


def _issued(issuer: x509.Certificate, issued: x509.Certificate, at: datetime, below: int) -> bool:
    """Tell whether a certificate issued another, with so many below that one, and may do so."""
    try:
        issued.verify_directly_issued_by(issuer)
        extensions = {type(each.value): each.value for each in issuer.extensions}
    except (*UNREADABLE, InvalidSignature):
        return False
    constraints: Any = extensions.get(x509.BasicConstraints)
    usage: Any = extensions.get(x509.KeyUsage)
    if not (constraints and constraints.ca) or (usage and not usage.key_cert_sign):
        return False
    reaches = constraints.path_length is None or constraints.path_length >= below
    return reaches and issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc


def _algorithm(key: object) -> str:
    """Name the algorithm of a private or public key; empty: it has none here."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return "EdDSA"
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return "PS256" if key.key_size >= MIN_RSA_BITS else ""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return CURVES.get(key.curve.name, "")
    return ""


def _name(certificate: x509.Certificate) -> str:
    """Name the owner of a certificate, on one printable line."""
    for kind in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(kind):
            return printable_line(attribute.value, MAX_NAME)
    return "somebody unnamed"
