"""A study from the command line: what is asked, its progress, and its results as files.

Knows which files a study leaves; how lines are asked and summed up is `inference.study`'s affair. Knows no page.
"""

import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from inference.errors import SettingsError
from inference.evidence.calibration import FILE_NAME, load_calibrations, save_calibrations
from inference.protocol import Engine, Progress
from inference.study.ask import Options
from inference.study.calibrate import calibrate_lines
from inference.study.lines import Lines
from inference.study.make import make_report
from inference.study.records import Records
from inference.study.report import Report
from inference.study.run import Study, Taken
from inference.study.stored import save_report, write_text
from inference.study.tables import heads_csv, items_csv, report_text
from viz.report.html import report_html

Found = TypeVar("Found")
Step = TypeVar("Step", bound=Progress | Taken)

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

RECORDS = "records.jsonl"
REPORT = "report.json"
FILES = (REPORT, "report.html", "items.csv", "heads.csv", RECORDS)
"""What a study leaves in its folder."""


@dataclass(frozen=True)
class Sets:
    """The lines to ask, and a second set of general questions."""

    data: Lines
    general: Lines | None = None


def tell_study(engine: Engine, sets: Sets, options: Options, out: Path) -> int:
    """Runs it, prints its summary and the names of its files, and returns the exit status: `INTERRUPTED` after Ctrl-C.

    Raises:
        VisualizerError: as `run_study`.
    """
    report, whole = run_study(engine, sets, options, out)
    print(report_text(report))
    for part in filter(None, (report.data, report.general)):
        for one in part.skipped:
            print(f"{part.name}: line {one.number} skipped: {one.reason}", file=sys.stderr)
    for name in FILES:
        print(f"wrote {out / name}", file=sys.stderr)
    if not whole:
        print("Interrupted; the same command goes on from here.", file=sys.stderr)
    return 0 if whole else INTERRUPTED


def tell_calibration(engine: Engine, lines: Lines, options: Options, file: Path | None) -> None:
    """Finds the calibrated spot for each wording of these lines, prints it, and adds it to the file.

    None: the file in the model's folder. Of one wording the file holds the newest alone.

    Raises:
        VisualizerError: the model has no folder here, the engine cannot do it, or no wording has enough lines.
    """
    folder = engine.base_folder()
    if file is None and folder is None:
        raise SettingsError("a model in a folder", engine.model_name, "name a file with --out")
    path = file or Path(folder or "") / FILE_NAME
    known = load_calibrations(path) if path.exists() else ()
    with tempfile.TemporaryDirectory(prefix="lora-attention-calibrate-") as room:
        steps = calibrate_lines(
            engine, lines.lines, Path(room), megapixels=options.megapixels, max_pixels=options.max_pixels
        )
        found = _follow(steps, _is_question, lines.name, len(lines.lines))
    newer = {one.wording for one in found}
    save_calibrations([*(one for one in known if one.wording not in newer), *found], path)
    for one in found:
        spot = f"layer {one.layer} head {one.head}, {one.back} tokens before the one that predicts the answer"
        print(
            f"{one.wording}: {spot}; its map tells {one.sharpness:.2f} bits of which of {one.pictures} pictures it is"
        )
    print(f"wrote {path}", file=sys.stderr)


def run_study(engine: Engine, sets: Sets, options: Options, out: Path) -> tuple[Report, bool]:
    """The report of all that is asked by now, written to `out`, and whether the work came to its end.

    What was asked into the same folder before is not asked again. Ctrl-C ends the asking, and what there is by then is
    reported.

    Raises:
        VisualizerError: the engine cannot do it, `out` cannot be written, or nothing could be asked.
    """
    if out.is_file():
        raise SettingsError("a folder to write to", f"the file {out}", "name another with --out")
    folder = engine.base_folder()
    options = replace(options, calibrations=load_calibrations(folder) if folder else ())
    studies = [Study(engine, lines, options, Records(out / RECORDS)) for lines in (sets.data, sets.general) if lines]
    known = [study.recall() for study in studies]
    whole = True
    try:
        for study, done in zip(studies, known, strict=True):
            _follow(study.run(), _is_taken, study.lines.name, len(study.lines.lines), done)
    except KeyboardInterrupt:
        whole = False
    report = make_report(studies[0], studies[1] if sets.general else None, options)
    _write(report, out)
    return report, whole


def _follow(
    steps: Generator[Step, None, Found], counts: Callable[[Step], bool], name: str, total: int, done: int = 0
) -> Found:
    """What the steps come to; a bar on stderr tells how far they are, one further for each step that counts."""
    from tqdm import tqdm  # a library of the extra `model`, which whoever runs a study here has

    with tqdm(total=total, initial=done, desc=name, unit="line") as bar, closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                found: Found = end.value
                return found
            bar.set_postfix_str(_told(step), refresh=False)
            bar.update(counts(step))


def _is_taken(step: Progress | Taken) -> bool:
    return isinstance(step, Taken)


def _is_question(step: Progress) -> bool:
    """Its size is told once for each question."""
    return step.stage == "size"


def _told(step: Progress | Taken) -> str:
    return " ".join([step.stage, step.variant]).strip() if isinstance(step, Progress) else ""


def _write(report: Report, out: Path) -> None:
    """Each file in place of an earlier one."""
    for name, text in (
        ("items.csv", items_csv(report)),
        ("heads.csv", heads_csv(report)),
        ("report.html", report_html(report)),
    ):
        write_text(out / name, text)
    save_report(report, out / REPORT)
