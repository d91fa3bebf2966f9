"""Messages between the client and the worker that reads Content Credentials."""

from dataclasses import dataclass
from typing import ClassVar

from unmask.video.messages import MediaFile


@dataclass(frozen=True)
class CredentialsTask:
    """What to read; the payload is a store and, behind it, a list of trusted certificates in PEM."""

    media: MediaFile
    store_bytes: int  # of what came beside the file, or was read of it
    in_part: bool  # of the file there is only the store
    cpu_seconds: ClassVar[float] = 30.0  # a GB of content takes a few


@dataclass(frozen=True)
class Manifest:
    """A manifest of the chain, see `report.ManifestReport`."""

    title: str | None
    relation: str
    role: str  # what it is to the file: `whole` (itself, or an earlier version), `part` or `input`
    state: str  # no better than that of what was made from it
    problem: str | None  # why it is `invalid`
    generator: str | None
    signer: str | None
    signed_at: str | None
    source_types: tuple[str, ...]


@dataclass(frozen=True)
class Credentials:
    """What was read, see `report.CredentialsReport`."""

    state: str
    problem: str | None = None
    codes: tuple[str, ...] = ()
    manifests: tuple[Manifest, ...] = ()
