"""Settings from the `UNMASK_*` environment variables, which `space/README.md` lists in one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unmask.compute import BACKENDS, PRECISIONS, ComputeOptions
from unmask.errors import BadInput
from unmask.limits import Limits
from unmask.service.rate_limit import ClientLimits

if TYPE_CHECKING:
    from unmask.signing import Signer


@dataclass(frozen=True)
class Settings:
    """How one process of the Space or the command line is configured."""

    model: str = "default"  # one name, or several joined by commas for an ensemble
    compute: ComputeOptions = ComputeOptions()
    limits: Limits = field(default_factory=Limits)
    queue_size: int = 16  # jobs waiting or running before the answer is `busy`
    cache_seconds: float = 3600.0  # how long a report answers equal requests; 0 switches it off
    clients: ClientLimits = field(default_factory=ClientLimits)
    trust_list: str = ""  # certificates of the signers of Content Credentials, or of their issuers, in PEM
    signer: "Signer | None" = None  # of reports
    notice: str = ""  # what reports by the model above say with it; not from the environment

    @property
    def models(self) -> tuple[str, ...]:
        """The names in `model`."""
        return tuple(name.strip() for name in self.model.split(",") if name.strip())


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read `UNMASK_*`; a variable that is unset or empty keeps its default.

    Raises:
        BadInput: A value is not a number, is negative, is not one of the words that the variable takes, or is neither
            PEM nor a file of it.
    """
    defaults = Settings()
    return Settings(
        model=environ.get("UNMASK_MODEL") or defaults.model,
        compute=ComputeOptions(
            _word(environ, "UNMASK_BACKEND", BACKENDS), _word(environ, "UNMASK_PRECISION", PRECISIONS)
        ),
        limits=Limits(
            max_bytes=int(_number(environ, "UNMASK_MAX_BYTES", defaults.limits.max_bytes)),
            max_seconds=_number(environ, "UNMASK_MAX_SECONDS", defaults.limits.max_seconds),
            timeout_seconds=_number(environ, "UNMASK_TIMEOUT_SECONDS", defaults.limits.timeout_seconds),
            allow_private=environ.get("UNMASK_ALLOW_PRIVATE", "0") not in ("", "0"),
        ),
        queue_size=int(_number(environ, "UNMASK_QUEUE_SIZE", defaults.queue_size)),
        cache_seconds=_number(environ, "UNMASK_CACHE_SECONDS", defaults.cache_seconds),
        clients=ClientLimits(
            max_checks=int(_number(environ, "UNMASK_CLIENT_PLACES", defaults.clients.max_checks)),
            per_minute=int(_number(environ, "UNMASK_CLIENT_PER_MINUTE", defaults.clients.per_minute)),
            # a Space stands behind one proxy of the platform
            proxies=int(_number(environ, "UNMASK_PROXIES", 1 if "SPACE_ID" in environ else 0)),
            tokens=frozenset(filter(None, map(str.strip, environ.get("UNMASK_TOKENS", "").split(",")))),
        ),
        trust_list=_trust_list(environ.get("UNMASK_TRUST_LIST", "")),
        signer=_signer(environ.get("UNMASK_SIGN_KEY", ""), environ.get("UNMASK_SIGN_CERT", "")),
    )


def _trust_list(text: str) -> str:
    if not text:
        return ""
    from unmask.signing import read_certificates, read_pem  # with a library of cryptography, which few need

    pem = read_pem(text)
    read_certificates(pem)
    return pem


def _signer(key: str, chain: str) -> "Signer | None":
    if not key and not chain:
        return None
    from unmask.signing import to_signer

    if not key or not chain:
        raise BadInput("To sign reports takes both UNMASK_SIGN_KEY and UNMASK_SIGN_CERT.")
    return to_signer(key, chain)


def _word(environ: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    text = environ.get(name) or words[0]
    if text not in words:
        raise BadInput(f"{name} must be one of {', '.join(words)}, not {text!r}.")
    return text


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise BadInput(f"{name} must be a number, not {text!r}.") from error
    if not 0 <= value < float("inf"):
        raise BadInput(f"{name} must be zero or more, not {text!r}.")
    return value
