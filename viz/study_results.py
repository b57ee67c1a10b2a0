"""A study from the command line: what is asked, its progress, and its results as files.

Knows which files a study leaves; how lines are asked and summed up is `inference.study`'s affair. Knows no page.
"""

import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from inference.errors import SettingsError
from inference.evidence.calibration import load_calibrations
from inference.protocol import Engine, Progress
from inference.study.ask import Options
from inference.study.lines import Lines
from inference.study.make import make_report
from inference.study.records import Records
from inference.study.report import Report
from inference.study.run import Study, Taken
from inference.study.stored import save_report
from inference.study.tables import heads_csv, items_csv, report_text
from viz.report import report_html

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
            _follow(study, done)
    except KeyboardInterrupt:
        whole = False
    report = make_report(studies[0], studies[1] if sets.general else None, options)
    _write(report, out)
    return report, whole


def _follow(study: Study, done: int) -> None:
    """Runs it to its end, under a bar on stderr."""
    from tqdm import tqdm  # a library of the extra `model`, which whoever runs a study here has

    name, usable = study.lines.name, study.lines.lines
    with tqdm(total=len(usable), initial=done, desc=name, unit="line") as bar, closing(study.run()) as steps:
        for step in steps:
            if isinstance(step, Taken):
                bar.set_postfix_str("", refresh=False)
                bar.update()
            else:
                bar.set_postfix_str(_told(step), refresh=False)


def _told(step: Progress) -> str:
    return " ".join([step.stage, step.variant]).strip()


def _write(report: Report, out: Path) -> None:
    """Each file in place of an earlier one."""
    for name, text in (
        ("items.csv", items_csv(report)),
        ("heads.csv", heads_csv(report)),
        ("report.html", report_html(report)),
    ):
        (out / name).write_text(text, encoding="utf-8", newline="")
    save_report(report, out / REPORT)
