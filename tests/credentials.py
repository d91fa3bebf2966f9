"""Videos with Content Credentials that the tests sign, by certificates of their own.

signer = Signer("ES256")
signed = signer.sign(video_bytes, "trainedAlgorithmicMedia")
"""

import datetime
import io
import struct
from collections.abc import Sequence
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
STORE_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def _name(organisation: str, name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, name))
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


class Signer:
    """A key and a certificate of Example News, issued by a root of its own.

    Args:
        algorithm: ES256 or Ed25519.
        seconds: From now, until the certificate is not valid any more.
        ocsp_url: Where its revocation could be asked for.
        purpose: What the certificate is for.
    """

    def __init__(
        self,
        algorithm: str = "ES256",
        seconds: float = 10**7,
        ocsp_url: str = "",
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ) -> None:
        root_key = ec.generate_private_key(ec.SECP256R1())
        self.key: Any = (
            ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()
        )
        self.algorithm = getattr(c2pa.C2paSigningAlg, algorithm.upper())
        now = datetime.datetime.now(datetime.UTC)

        def certificate(subject: x509.Name, public: Any, ca: bool) -> str:
            end = datetime.timedelta(seconds=10**8 if ca else seconds)
            builder = (
                x509.CertificateBuilder(_name("Test Authority", "Test Root"), subject, public)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=10))
                .not_valid_after(now + end)
                .add_extension(x509.BasicConstraints(ca, None), True)
                .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), True)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            )
            if not ca:
                builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
            if ocsp_url and not ca:
                place = x509.UniformResourceIdentifier(ocsp_url)
                access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
                builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
            return builder.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

        self.root = certificate(_name("Test Authority", "Test Root"), root_key.public_key(), True)
        self.chain = certificate(_name("Example News", "Camera 7"), self.key.public_key(), False) + self.root

    @property
    def pem(self) -> str:
        return str(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    def sign(
        self,
        video: bytes,
        source_type: str = "",
        *,
        edits: bytes = b"",
        relation: str = "parentOf",
        remote_url: str = "",
        embed: bool = True,
        media_type: str = "video/mp4",
        assertions: Sequence[dict[str, Any]] = (),
        redacted: Sequence[str] = (),
    ) -> bytes:
        """Sign a video: made as a source type says, or by editing another one, of which assertions may be redacted."""
        first = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPES + source_type}
        actions = [{"label": "c2pa.actions.v2", "data": {"actions": [first]}}]
        manifest = {
            "claim_generator_info": [{"name": "Editor" if edits else "Generator", "version": "1.0"}],
            "title": "a clip",
            "assertions": [*(actions if source_type else []), *assertions],
            "redactions": list(redacted),
        }
        settings = {"verify": {"verify_after_sign": False}, "builder": {"thumbnail": {"enabled": False}}}
        builder = c2pa.Builder(manifest, context=c2pa.Context.from_dict(settings))
        if edits:
            if relation == "parentOf":
                builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
            builder.add_ingredient({"title": "the original", "relationship": relation}, media_type, io.BytesIO(edits))
        if remote_url:
            builder.set_remote_url(remote_url)
        if not embed:
            builder.set_no_embed()
        signed = io.BytesIO()
        signer = c2pa.Signer.from_callback(self._signature, self.algorithm, self.chain, None)
        self.store = bytes(builder.sign(signer, media_type, io.BytesIO(video), signed))
        return signed.getvalue()

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def store_box(video: bytes) -> tuple[int, int]:
    """Where the box with the store lies in an MP4."""
    begin = video.index(STORE_UUID) - 8
    return begin, begin + int(struct.unpack_from(">I", video, begin)[0])


def with_store_last(video: bytes, padding_bytes: int = 0) -> tuple[bytes, bytes]:
    """The video up to where padding begins, and what comes behind: the store."""
    begin, end = store_box(video)
    box = video[begin:end]
    emptied = video[:begin] + box[:4] + b"free" + bytes(len(box) - 8) + video[end:]
    return emptied + (8 + padding_bytes).to_bytes(4, "big") + b"free", box
