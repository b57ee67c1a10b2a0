"""The lines of a data set as what a model is calibrated on: its base is asked each of them, wording by wording.

Knows no model; answers and boxes of the lines are not used.
"""

import shutil
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from inference.errors import SettingsError
from inference.evidence.calibration import LEAST_PICTURES, Calibration, calibrate
from inference.intake import read_picture
from inference.protocol import Engine, Progress
from inference.study.ask import ask
from inference.study.lines import Line
from inference.trace.request import Generation, Keep, Request


def calibrate_lines(
    engine: Engine, lines: Sequence[Line], room: Path, *, megapixels: float = 50, max_pixels: int | None = None
) -> Generator[Progress, None, tuple[Calibration, ...]]:
    """The engine's progress, and at last a calibration for each wording that enough lines have.

    Sessions are written into `room`, an empty folder of the caller's, and removed wording by wording.

    Raises:
        SettingsError: no wording has `LEAST_PICTURES` lines.
        VisualizerError: a line cannot be asked.
    """
    groups = [group for group in by_wording(lines) if len(group) >= LEAST_PICTURES]
    if not groups:
        most = max((len(group) for group in by_wording(lines)), default=0)
        raise SettingsError(
            f"{LEAST_PICTURES} pictures with questions that differ in one word at most", f"{most}", "add some"
        )
    request = Request("", generation=Generation(max_new_tokens=1), keep=Keep(keys="pictures"), max_pixels=max_pixels)
    found = []
    for group in groups:
        sessions = []
        for line in group:
            picture = read_picture(line.picture, name=line.picture.name, megapixels=megapixels)
            asked = replace(request, question=line.question, images=(picture,))
            sessions.append((yield from ask(engine, asked, room / str(line.number))))
        calibration = calibrate(sessions, "")
        found.append(replace(calibration, label=calibration.wording))
        for line in group:
            shutil.rmtree(room / str(line.number))
    return tuple(found)


def by_wording(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines whose questions differ from a first one in one word at most, group by group."""
    groups: list[list[Line]] = []
    for line in lines:
        own = line.question.split()
        for group in groups:
            first = group[0].question.split()
            if len(own) == len(first) and sum(map(str.__ne__, own, first)) <= 1:
                group.append(line)
                break
        else:
            groups.append([line])
    return groups
