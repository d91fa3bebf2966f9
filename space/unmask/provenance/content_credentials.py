"""Read the Content Credentials (C2PA) of a file in a worker process, beside its check."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import get_args

from unmask.download.sources import Statements
from unmask.errors import InternalError, NotAVideo, TimedOut
from unmask.provenance.messages import Credentials, CredentialsTask
from unmask.provenance_text import Problem, State, credentials_text, made_of
from unmask.report import CredentialsReport, ManifestReport
from unmask.sandbox.process import POLL_SECONDS, start_code
from unmask.video.decode_client import OnWait, do_nothing, run_worker

WORKER = start_code("unmask.provenance.credentials_worker")
MAX_VERIFIED_BYTES = 2**30  # of a file: the library reads whole boxes into memory

PART_AI = "compositeWithTrainedAlgorithmicMedia"

IN_PART = "only parts of the file are here"
TOO_LARGE = "the file is too large"
UNREADABLE = "they could not be read"


class BackgroundCredentials:
    """The Content Credentials of a file, read while it is decoded. The caller closes it.

    Args:
        said: What came with the video.
        trust_list: Certificates of signers or their issuers, in PEM.
    """

    def __init__(self, said: Statements, trust_list: str) -> None:
        self._closed = threading.Event()
        self._remote_url = said.tags.get("xmp:provenance") or said.sidecar_url
        self._where = IN_PART
        self._future = None
        if said.has_store:
            pool = ThreadPoolExecutor(1, "unmask-credentials")
            self._future = pool.submit(self._read, said.path, said.store, trust_list)
            pool.shutdown(wait=False)

    def result(self, on_wait: OnWait = do_nothing) -> CredentialsReport:
        """Wait for it; `on_wait` is called several times a second, and what it raises ends the wait."""
        if self._future is not None:
            while not wait([self._future], POLL_SECONDS).done:
                on_wait()
            return to_report(self._future.result(), self._where, self._remote_url)
        if self._remote_url is None:
            return to_report(Credentials("none"))
        where = f"they lie at {self._remote_url}, which was not fetched"
        return to_report(Credentials("unverified"), where, self._remote_url)

    def close(self) -> None:
        """Stop reading."""
        self._closed.set()

    def _read(self, path: Path | None, store: bytes, trust_list: str) -> Credentials:
        if path is None and not store:
            return Credentials("unverified")
        if path is not None and path.stat().st_size > MAX_VERIFIED_BYTES:
            self._where = TOO_LARGE
            return Credentials("unverified")
        task = lambda file: CredentialsTask(file, len(store), path is None)
        payload = store + trust_list.encode()
        try:
            answers = run_worker(WORKER, task, path, self._stop_if_closed, (Credentials,), payload=payload)
            with closing(answers):
                found: Credentials = next(answers).body
        except (NotAVideo, TimedOut, InternalError):  # the library crashed or took too long
            self._where = UNREADABLE
            return Credentials("unverified")
        if path is not None and not found.manifests:
            self._where = UNREADABLE
        return found

    def _stop_if_closed(self) -> None:
        if self._closed.is_set():
            raise InternalError("Nobody waits for it any more.")


def picture_credentials(path: Path, trust_list: str) -> str:
    """Say what the Content Credentials of a still picture are worth and say; nothing where it has none."""
    with closing(BackgroundCredentials(Statements(path, has_store=True), trust_list)) as reading:
        found = reading.result()
    return "" if found["state"] == "none" else found["text"]


def to_report(found: Credentials, where: str = "", remote_url: str | None = None) -> CredentialsReport:
    """Make the part of a report, in words and codes; what a worker says is checked once more."""
    chain = [
        ManifestReport(
            title=each.title,
            relation=each.relation,
            state=_known_state(each.state),
            problem=_known_problem(each.problem),
            generator=each.generator,
            signer=each.signer,
            signed_at=each.signed_at,
            source_types=list(each.source_types),
            made=made_of(each.source_types),
        )
        for each in found.manifests
    ]
    state = _known_state(found.state)
    types, parts = (
        [name for each in found.manifests if each.role == role and each.state == state for name in each.source_types]
        for role in ("whole", "part")
    )
    signer = chain[0]["signer"] if chain else None
    made = made_of(types) if made_of(parts) not in ("ai", "part_ai") else made_of([*types, PART_AI])
    problem = _known_problem(found.problem)
    return {
        "state": state,
        "signer": signer,
        "generator": chain[0]["generator"] if chain else None,
        "signed_at": chain[0]["signed_at"] if chain else None,
        "source_types": list(dict.fromkeys(types)),
        "made": made,
        "problem": problem,
        "codes": list(found.codes),
        "chain": chain,
        "remote_url": remote_url,
        "text": credentials_text(state, signer, made, problem, where),
    }


def _known_state(name: str) -> State:
    return next((known for known in get_args(State) if known == name), "invalid")


def _known_problem(name: str | None) -> Problem | None:
    return next((known for known in get_args(Problem) if known == name), None)
