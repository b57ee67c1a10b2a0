"""A session in numbers and words, for programs: what `summary.json` and the /analyze endpoint tell.

Plain values that go into JSON as they are; maps and rows stay in the session. Tokens, layers, heads, pictures, rows and
columns are counted from 0, a token in the order of its trace; probabilities and shares run from 0 to 1, boxes are left,
top, right, bottom in pixels of the picture as it arrived. Knows no page and no model.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from jaxtyping import Float

from inference.trace.geometry import box_of_cell
from inference.trace.maps import SHARES, shares
from inference.trace.request import Picture
from inference.trace.session import AdapterFacts, Run, Session, Token, Trace

_PICTURE = SHARES.index("picture")


def summarise(session: Session) -> dict[str, Any]:
    """What was asked, of what, and what each variant answered and looked at; reads sums alone, no rows."""
    request = session.request
    return {
        "question": request.question,
        "created": session.created,
        "model": dataclasses.asdict(session.model) | {"versions": dict(session.model.versions)},
        "pictures": [_picture(picture) for picture in request.images],
        "adapters": [summarise_adapter(facts) for facts in session.adapters],
        "notes": list(session.notes),
        "runs": [_run(run) for run in session.runs],
    }


def summarise_adapter(facts: AdapterFacts) -> dict[str, Any]:
    """All that is known of an adapter but where it lies, which is nobody's affair."""
    known = {name: value for name, value in dataclasses.asdict(facts).items() if name != "folder"}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}


def _picture(picture: Picture) -> dict[str, Any]:
    return {
        "name": picture.name,
        "width": picture.width,
        "height": picture.height,
        "notes": list(picture.notes),
    }


def _run(run: Run) -> dict[str, Any]:
    looked = shares(run.trace)
    return {
        "variant": run.variant.label,
        "answer": run.answer,
        "thinking": run.thinking,
        "finish": run.finish,
        "expected_logprob": run.expected_logprob,
        "eager_error": run.eager_error,
        "timings": dataclasses.asdict(run.timings),
        "tokens": [
            _token(index, token, float(looked[index, :, :, _PICTURE].mean()))
            for index, token in enumerate(run.trace.tokens)
        ],
        "sharpest": _sharpest(run.trace, looked),
        "kept": _kept(run.trace),
    }


def _kept(trace: Trace) -> dict[str, Any]:
    """Of which layers and heads there are rows, over which keys, in which numbers; `bytes` of all arrays."""
    arrays = (trace.rows, trace.layer_means, trace.head_means, trace.means, trace.sums)
    return {
        "layers": list(trace.layers),
        "heads": list(trace.heads),
        "keys": trace.keys,
        "numbers": trace.rows.dtype.name,
        "bytes": sum(array.nbytes for array in arrays),
    }


def _token(index: int, token: Token, picture_share: float) -> dict[str, Any]:
    """`picture_share`: of its attention, on all pictures, mean over all layers and heads."""
    told: dict[str, Any] = {
        "index": index,
        "text": token.text,
        "part": token.part,
        "position": token.position,
        "picture_share": picture_share,
    }
    if token.scores is not None:
        told |= {
            "probability": math.exp(token.scores.logprob),
            "entropy": token.scores.entropy,
            "runners_up": [
                {"text": other.text, "probability": math.exp(other.logprob)} for other in token.scores.runners_up
            ],
        }
    return told


def _sharpest(trace: Trace, looked: Float[np.ndarray, "tokens layers heads 4"]) -> dict[str, Any] | None:
    """Where the sharpest spot looks and with how much of its attention; None without a picture."""
    found = trace.sharpest
    if found is None or found.spot.layer is None or found.spot.head is None:
        return None
    spot = found.spot
    row = looked[spot.token, spot.layer, spot.head]
    return {
        "token": spot.token,
        "text": trace.tokens[spot.token].text,
        "layer": spot.layer,
        "head": spot.head,
        "picture": found.image,
        "row": found.row,
        "col": found.col,
        "box_xyxy": list(box_of_cell(trace.images[found.image], found.row, found.col)),
        "share": found.share,
        "usual_share": found.usual,
        "shares": {name: float(share) for name, share in zip(SHARES, row, strict=True)},
    }
