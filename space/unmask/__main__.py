"""The command line: `python -m unmask check|scan|verify|models`. It exits with 0 if there is a verdict, else with 2.

`verify` exits with 1 for a report that is not as it was signed, or whose signer is not on the trust list.
"""

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from unmask.errors import BadInput, Cancelled, InternalError, UnmaskError
from unmask.files import atomic_write
from unmask.service.settings import Settings, from_environment
from unmask.text import printable_line

if TYPE_CHECKING:
    from unmask.report import CheckReport
    from unmask.signing import Signer

# The networks and the decoder take a while to import: each command imports what it needs when it runs.

MAX_REPORT_CHARACTERS = 2**26  # of one to verify
MAX_FACT = 300  # characters
SIGNED_FACTS = (  # of a report that holds
    ("It says", "verdict", "text"),
    ("Of the video", "source", "name"),
    ("Found at", "source", "url"),
    ("Its SHA-256", "source", "sha256"),
)

logger = logging.getLogger("unmask")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Raises nothing, whatever the input."""
    if argv is None:  # a process of its own
        signal.signal(signal.SIGTERM, _interrupt)
        argv = sys.argv[1:]
    args = argparse.Namespace()
    try:
        with _all_errors_converted():
            _parser().parse_args(argv, args)
            _configure_logging(args.verbose)
            return args.command(args, from_environment(os.environ)) or 0
    except UnmaskError as error:
        as_json = not {"--json", "--sign"}.isdisjoint(argv)
        return _report_failure(error, getattr(args, "input", None), as_json)
    return 0


def check(args: argparse.Namespace, settings: Settings) -> None:
    """Check one video and print the verdict, or the report."""
    from unmask.download.sources import Options, to_source
    from unmask.inputs import to_span
    from unmask.pipeline import shared_checker
    from unmask.render.terminal import describe_report, progress_bar

    source = to_source(args.input)
    _check_output(args.overlay, ".mp4", args.input)
    _check_output(args.report, ".html", args.input)
    signer = _signer(args, settings)
    options = Options(
        to_span(args.start, args.end), _models(args, settings), settings.limits, trust_list=settings.trust_list
    )
    with tempfile.TemporaryDirectory(prefix="unmask-") as folder:
        keep = Path(folder) / "video" if args.overlay else None
        with progress_bar() as on_progress:
            report = shared_checker(settings.compute).check(source, options, on_progress, keep=keep)
            _write_outputs(args, source, keep, report, on_progress)
    if args.json or args.sign:
        print(json.dumps(report if signer is None else signer.sign(report), ensure_ascii=False))
    else:
        print(describe_report(report))


def scan(args: argparse.Namespace, settings: Settings) -> None:
    """Check many videos, write a file with a report a line, and print a summary."""
    from unmask.batch.scan import check_one, finished_inputs, list_inputs, run_on_ray
    from unmask.download.sources import Options
    from unmask.pipeline import shared_checker
    from unmask.render.terminal import counting_bar, describe_scan
    from unmask.video.sampling import Span

    inputs = list_inputs(args.inputs)
    _check_output(args.out, "", str(args.inputs))
    finished = finished_inputs(args.out) if args.resume else set()
    waiting = [item for item in inputs if item.name not in finished]
    options = Options(Span(), _models(args, settings), settings.limits, trust_list=settings.trust_list)
    checker = shared_checker(settings.compute)
    checker.load(options.models)  # a model that is missing stops the scan here, not at every input
    if args.ray:
        reports = run_on_ray(waiting, options, args.ray, settings.compute)
    else:
        reports = (check_one(checker, item, options) for item in waiting)
    counts: dict[str, int] = {}
    with args.out.open("a" if args.resume else "w", encoding="utf-8") as out, counting_bar(len(waiting)) as bar:
        for report in reports:
            out.write(json.dumps(report, ensure_ascii=False) + "\n")
            out.flush()
            outcome = report["verdict"]["label"] if report["status"] == "ok" else "failed"
            counts[outcome] = counts.get(outcome, 0) + 1
            bar.update(1)
    print(describe_scan(counts, len(inputs) - len(waiting), args.out))


def verify(args: argparse.Namespace, settings: Settings) -> int:
    """Check a signed report, and print who signed it. Exits with 1 if it is changed, or not by a trusted signer."""
    from unmask.signing import NotValid, parse_report, read_certificates
    from unmask.signing import verify as verify_report

    try:
        with args.signed.open(encoding="utf-8") as file:
            text = file.read(MAX_REPORT_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise BadInput(f"{args.signed} cannot be read.") from error
    if len(text) > MAX_REPORT_CHARACTERS:
        raise BadInput(f"{args.signed} is too large for a report.")
    trust_list = args.trust or settings.trust_list
    try:
        report = parse_report(text)
        found = verify_report(report, read_certificates(trust_list) if trust_list else ())
    except NotValid as error:
        print(f"Not valid: {error}")
        return 1
    on_list = {None: "whom nobody confirms here", True: "on the trust list", False: "not on the trust list"}
    print(f"Valid: unchanged since {found.name}, {on_list[found.trusted]}, signed it.")
    print(f"Signed on {found.at:%Y-%m-%d %H:%M} UTC, by the signer's clock.")
    for name, part, field in SIGNED_FACTS:
        value = report.get(part)
        if isinstance(value, dict) and value.get(field):
            print(f"{name}: {printable_line(value[field], MAX_FACT)}")
    return 1 if found.trusted is False else 0


def models(args: argparse.Namespace, settings: Settings) -> None:
    """Print a line a model."""
    from unmask.models.checkpoint import available

    for info in available():
        size = f"{info.parameters / 1e6:.1f} M parameters  {info.size_bytes / 2**20:.1f} MiB"
        print(f"{info.name}  {info.revision}  {size}  {info.headline}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="unmask", description="Is the face in this video a deepfake?")
    parser.add_argument("--verbose", action="store_true", help="log to stderr")
    commands = parser.add_subparsers(required=True, metavar="check | scan | verify | models")

    one = commands.add_parser("check", help="one video", description="Check one video, print the verdict.")
    one.add_argument("input", metavar="INPUT", help="path or URL of a video")
    one.add_argument("--json", action="store_true", help="print the report as JSON and nothing else")
    one.add_argument("--overlay", type=Path, metavar="OUT.mp4", help="write the video with boxes and scores")
    one.add_argument("--report", type=Path, metavar="OUT.html", help="write the report as a web page")
    one.add_argument("--start", metavar="S", help="start of the part to check: seconds, or minutes:seconds")
    one.add_argument("--end", metavar="S", help="its end")
    one.add_argument("--sign", metavar="KEY", help="sign the report with this private key (PEM), and print it as JSON")
    one.add_argument("--cert", metavar="CHAIN", help="the certificates of the key (PEM)")
    one.set_defaults(command=check)

    many = commands.add_parser("scan", help="many videos", description="Check many videos, write a report each.")
    many.add_argument("inputs", type=Path, metavar="INPUTS", help="a folder, or a text file: a path or URL a line")
    many.add_argument("--out", type=Path, required=True, metavar="OUT.jsonl", help="one report a line")
    many.add_argument("--resume", action="store_true", help="skip what OUT.jsonl contains, and append to it")
    many.add_argument("--ray", metavar="ADDRESS", help="run on a Ray cluster; `local` starts one")
    many.set_defaults(command=scan)

    signed = commands.add_parser("verify", help="a signed report", description="Check who signed a report, and what.")
    signed.add_argument("signed", type=Path, metavar="REPORT.json", help="a report that check --sign printed")
    signed.add_argument("--trust", metavar="LIST", help="certificates of signers or their issuers (PEM)")
    signed.set_defaults(command=verify)

    for command in (one, many):
        command.add_argument("--model", action="append", metavar="NAME", help=_MODEL_HELP)
    commands.add_parser("models", help="list the bundled models").set_defaults(command=models)
    return parser


_MODEL_HELP = "a name that `models` prints, a folder, or owner/name[@revision] on the Hub; may be repeated"


class _Parser(argparse.ArgumentParser):
    """A parser that raises bad arguments like every other failure."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput."""
        raise BadInput(f"{message[:1].upper()}{message[1:]}. See {self.prog} --help.")


@contextmanager
def _all_errors_converted() -> Iterator[None]:
    """Convert everything that can end a command to an UnmaskError, and log what is a defect."""
    try:
        yield
    except UnmaskError:
        raise
    except KeyboardInterrupt as error:
        raise Cancelled("Stopped.") from error
    except BrokenPipeError as error:  # the reader of the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Cancelled("The output was closed.") from error
    except Exception as error:
        logger.exception("The command failed unexpectedly")
        raise InternalError(
            f"A defect of Unmask: {type(error).__name__}. --verbose before the command shows the details."
        ) from error


def _report_failure(error: UnmaskError, video: str | None, as_json: bool) -> int:
    from unmask.render.terminal import describe_choices, on_one_line

    if as_json:
        from unmask.download.sources import describe, to_source
        from unmask.report import to_failed_report

        source = {} if video is None else describe(to_source(video))
        print(json.dumps(to_failed_report(source, error), ensure_ascii=False))
    print(f"unmask: {error.code}: {on_one_line(error.message)}", file=sys.stderr)
    if error.choices and not as_json:
        print(describe_choices(error.choices), file=sys.stderr)
    return 2


def _configure_logging(verbose: bool) -> None:
    """Silence the logs and warnings of libraries, unless they are wanted."""
    logging.basicConfig(level=logging.INFO if verbose else logging.CRITICAL, force=True)
    if not verbose:
        warnings.simplefilter("ignore")


def _models(args: argparse.Namespace, settings: Settings) -> tuple[str, ...]:
    return tuple(args.model or settings.models)


def _signer(args: argparse.Namespace, settings: Settings) -> "Signer | None":
    if not args.sign and not args.cert:
        return settings.signer
    if not args.sign or not args.cert:
        raise BadInput("--sign and --cert go together.")
    from unmask.signing import to_signer

    return to_signer(args.sign, args.cert)


def _check_output(out: Path | None, suffix: str, given: str) -> None:
    """Raise BadInput for an output that cannot be written, before minutes of work."""
    if out is None:
        return
    if suffix and out.suffix.lower() != suffix:
        raise BadInput(f"The name of {out} must end in {suffix}.")
    if out.is_dir() or not out.parent.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise BadInput(f"{out} cannot be written.")
    if out.exists() and Path(given).exists() and out.samefile(given):
        raise BadInput(f"{out} is the input and would be overwritten.")


def _write_outputs(
    args: argparse.Namespace,
    source: Any,
    keep: Path | None,
    report: "CheckReport",
    on_progress: Callable[[str, float, str], None],
) -> None:
    if args.report:
        from unmask.render.html import to_html

        with _output_file(args.report) as draft:
            draft.write_text(to_html(report), encoding="utf-8")
    if keep is not None:
        from unmask.render.video import overlay

        video = keep if keep.exists() else source.path

        with _output_file(args.overlay) as draft:
            overlay(video, report, draft, on_progress)


@contextmanager
def _output_file(out: Path) -> Iterator[Path]:
    """Give a path that replaces `out` once all is written. Raises BadInput."""
    try:
        with atomic_write(out) as draft:
            yield draft
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror or error}.") from error


def _interrupt(signal_number: int, frame: object) -> None:
    """End as on Ctrl-C, so that temporary folders are removed."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
