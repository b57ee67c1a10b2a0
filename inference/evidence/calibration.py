"""Which head and which word of a question show best where a model looks: chosen once for a model and a wording.

The map of a single picture cannot tell it: a head may be sharp because it always looks at one place. So the spot is
chosen over many pictures, without labels, and kept as JSON in the model's folder. Knows no model.
"""

import json
import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float

from inference.errors import SettingsError
from inference.evidence.words import base_run
from inference.trace import maps
from inference.trace.session import Run, Session, Trace

FILE_NAME = "calibration.json"
LEAST_PICTURES = 30
SLOT = "{}"


@dataclass(frozen=True)
class Calibration:
    """The spot whose map is compared with what an answer depends on, for questions of one wording.

    `back`: how many places the word stands before the one that predicts the answer's first word. `sharpness`: bits
    that the cell it looks at tells about which of the `pictures` it was. `wording`: the question, with `SLOT` for each
    word that differed. `layers`, `heads`: how many the model has.
    """

    label: str
    wording: str
    layer: int
    head: int
    back: int
    sharpness: float
    pictures: int
    layers: int
    heads: int

    def fits(self, session: Session) -> bool:
        """Whether the session is of this wording, and of a model of this size."""
        if (self.layers, self.heads) != (session.model.layers, session.model.heads):
            return False
        own, asked = self.wording.split(), session.request.question.split()
        return len(own) == len(asked) and all(map(_may_be, own, asked))

    def token_of(self, run: Run) -> int | None:
        """The place of its word among the run's kept tokens; None: it was not kept."""
        rows = {token.row_at: place for place, token in enumerate(run.trace.tokens) if token.part == "question"}
        return rows.get(_answering(run.trace) - self.back)

    def map_of(self, run: Run, image: int = 0) -> Float[np.ndarray, "rows cols"] | None:
        """Where it looks in the picture; None: that row was not kept."""
        token = self.token_of(run)
        if token is None or not maps.is_kept(run.trace, self.layer, self.head):
            return None
        return maps.image_map(run.trace, tokens=slice(token, token + 1), layer=self.layer, head=self.head, image=image)


def calibrate(sessions: Sequence[Session], label: str) -> Calibration:
    """The head and word of the question, in the base, with the sharpest maps over pictures that differ.

    Sharpness is the mutual information of picture and cell: the entropy of the mean map less the mean of the maps'
    entropies. So a head that always looks at one place has none, however sharp each of its maps is.

    Raises:
        SettingsError: fewer than `LEAST_PICTURES` pictures, questions of several wordings, or no base or no rows.
    """
    if len(sessions) < LEAST_PICTURES:
        raise SettingsError(f"at least {LEAST_PICTURES} pictures", str(len(sessions)), "ask about more of them")
    traces = [base_run(session).trace for session in sessions]
    facts = sessions[0].model
    best: tuple[float, int, int, int] | None = None
    for back in _places_of_all(traces):
        bits = _sharpness([_within(trace, _answering(trace) - back) for trace in traces])
        if np.isnan(bits).all():
            continue
        layer, head = (int(index) for index in np.unravel_index(np.nanargmax(bits), bits.shape))
        if best is None or bits[layer, head] > best[0]:
            best = float(bits[layer, head]), layer, head, back
    if best is None:
        raise SettingsError("sessions that kept the rows of the question", "none in common", "ask again, keeping them")
    sharpness, layer, head, back = best
    wording = _wording([session.request.question for session in sessions])
    return Calibration(label, wording, layer, head, back, sharpness, len(traces), facts.layers, facts.heads)


def save_calibrations(calibrations: Sequence[Calibration], path: Path) -> None:
    """Writes them as a JSON list, in place of what lay there."""
    path.write_text(json.dumps([asdict(one) for one in calibrations], indent=1) + "\n", encoding="utf-8")


def load_calibrations(path: Path) -> tuple[Calibration, ...]:
    """Those of a file, or of a model's folder; none where the folder has no such file.

    Raises:
        SettingsError: the file is no list of calibrations.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if path.is_dir() and not file.exists():
        return ()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return tuple(Calibration(**{field.name: one[field.name] for field in fields(Calibration)}) for one in found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError("a file of calibrations", file.name, "calibrate again") from error


def find_calibration(calibrations: Sequence[Calibration], session: Session) -> Calibration | None:
    """The first that fits the session's question and model; None: it is not calibrated."""
    return next((one for one in calibrations if one.fits(session)), None)


def _places_of_all(traces: Sequence[Trace]) -> list[int]:
    """How far back the words of the question stand that all have."""
    common: set[int] | None = None
    for trace in traces:
        last = _answering(trace)
        places = {last - token.row_at for token in trace.tokens if token.part == "question"}
        common = places if common is None else common & places
    return sorted(common or ())


def _answering(trace: Trace) -> int:
    """The position that predicts the first word."""
    said = [token.row_at for token in trace.tokens if token.part in ("answer", "thinking")]
    if not said:
        raise SettingsError("a session that kept the answer", "one without it", "ask again, keeping it")
    return min(said)


def _within(trace: Trace, row_at: int) -> Float[np.ndarray, "layers heads rows cols"]:
    """Every head's map within the first picture, each summing to one; NaN where it was not kept."""
    token = next(place for place, one in enumerate(trace.tokens) if one.row_at == row_at and one.part == "question")
    tokens, layers = slice(token, token + 1), range(trace.sums.shape[1])
    return np.stack([maps.head_maps(trace, tokens=tokens, layer=layer, within=True) for layer in layers])


def _sharpness(grids: Sequence[Float[np.ndarray, "layers heads rows cols"]]) -> Float[np.ndarray, "layers heads"]:
    """Entropy of the mean map less the mean entropy, in bits; all maps are first made as coarse as the coarsest."""
    rows, cols = (min(grid.shape[axis] for grid in grids) for axis in (2, 3))
    alike = np.stack([_coarse(grid, rows, cols) for grid in grids]).astype(np.float64)
    return np.asarray(_entropy(alike.mean(0)) - _entropy(alike).mean(0))


def _coarse(
    grid: Float[np.ndarray, "layers heads rows cols"], rows: int, cols: int
) -> Float[np.ndarray, "layers heads cells"]:
    """The map's shares added up in fewer cells."""
    down, across = (np.arange(grid.shape[axis]) * few // grid.shape[axis] for axis, few in ((2, rows), (3, cols)))
    cells = (down[:, None] * cols + across[None, :]).ravel()
    return np.asarray(grid.reshape(*grid.shape[:2], -1) @ np.eye(rows * cols, dtype=grid.dtype)[cells])


def _entropy(shares: Float[np.ndarray, "*maps cells"]) -> Float[np.ndarray, "*maps"]:
    """In bits; 0 log 0 counts as 0."""
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(-1) + np.where(np.isnan(shares).any(-1), np.nan, 0))


def _wording(questions: Sequence[str]) -> str:
    """The question with a slot for each word that is not the same in all.

    Raises:
        SettingsError: they differ in their number of words.
    """
    split = [question.split() for question in questions]
    if len({len(words) for words in split}) != 1:
        raise SettingsError("questions of one wording", "questions of other lengths", "calibrate each wording apart")
    return " ".join(_common(set(words)) for words in zip(*split, strict=True))


def _common(words: set[str]) -> str:
    """The word that all are, or a slot, with the sign that all end in."""
    if len(words) == 1:
        return words.pop()
    last = {word[-1] for word in words}
    return SLOT + (last.pop() if len(last) == 1 and not last & set(string.ascii_letters) else "")


def _may_be(own: str, word: str) -> bool:
    before, slot, after = own.partition(SLOT)
    return own == word or (bool(slot) and word.startswith(before) and word.endswith(after))
