"""One line of a data set put to the model: the same words for all variants, their own answers, and what was found.

The sessions lie in a folder that the caller empties; what is kept of them is a `Record`.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.evidence.calibration import Calibration, find_calibration
from inference.evidence.inquiry import inquire
from inference.evidence.knockout import Knocked, KnockOut
from inference.intake import read_picture
from inference.protocol import Engine, Progress
from inference.study.condense import Asked
from inference.study.lines import Line
from inference.trace.metrics import check_box
from inference.trace.request import BASE, Generation, Keep, Picture, Request, Variant
from inference.trace.session import Session


@dataclass(frozen=True)
class Options:
    """How every line is asked. variants: the base first; draws: random boxes beside each knock-out.

    draws None: no knock-out. calibrations: spots that are known for this model. megapixels: of the largest picture that
    is read.
    """

    variants: tuple[Variant, ...] = (BASE,)
    generation: Generation = field(default_factory=lambda: Generation(max_new_tokens=16))
    max_pixels: int | None = None
    draws: int | None = None
    seed: int = 0
    calibrations: tuple[Calibration, ...] = ()
    megapixels: float = 50


def ask_line(engine: Engine, line: Line, options: Options, room: Path) -> Generator[Progress, None, Asked]:
    """The engine's progress, and at last what came of it; `room` is an empty folder of the caller's.

    Two questions: the base's words for all, to compare maps and probabilities over the same tokens; and, for the
    adapters alone, their own words, to tell right from wrong. A knock-out is over each variant's own words.

    Raises:
        VisualizerError: the line cannot be asked, or the engine cannot do it.
    """
    picture = read_picture(line.picture, name=line.picture.name, megapixels=options.megapixels)
    box = line.box and check_box(line.box, (picture.width, picture.height))
    draws = options.draws if box else None
    request = _request(line, picture, options, thinking=draws is not None)
    same = yield from ask(engine, request, room / "same")
    own = same
    if len(options.variants) > 1:
        # Rows of single heads are wanted of these only to see whether they agree with the knock-out.
        keep = replace(request.keep, layers=(), heads=()) if draws is None else request.keep
        keep = replace(keep, question=False)
        alone = replace(request, variants=options.variants[1:], words="own", keep=keep, expected_answer=None)
        answered = yield from ask(engine, alone, room / "own")
        own = replace(same, runs=(same.runs[0], *answered.runs))
    knocked: tuple[Knocked, ...] = ()
    if draws is not None:
        knocked = (yield from inquire(engine, own, KnockOut(box, draws=draws, seed=options.seed))).knocked
    return Asked(line, box, same, own, knocked, find_calibration(options.calibrations, same) if box else None)


def _request(line: Line, picture: Picture, options: Options, *, thinking: bool) -> Request:
    return Request(
        line.question,
        (picture,),
        options.variants,
        generation=options.generation,
        keep=Keep(question=bool(options.calibrations and line.box), thinking=thinking, keys="pictures"),
        words="base",
        expected_answer=line.answers[0] if line.answers else None,
        max_pixels=options.max_pixels,
    )


def ask(engine: Engine, request: Request, folder: Path) -> Generator[Progress, None, Session]:
    """The engine's progress, and at last the session, which lies in the new folder."""
    folder.mkdir()
    with closing(engine.run(request, folder)) as steps:
        for step in steps:
            if isinstance(step, Session):
                return step
            yield step
    raise RuntimeError("the engine ended without a session")
