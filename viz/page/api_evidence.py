"""The named endpoints that ask the model once more about a session of /analyze: /knockout and /sweep.

As in `viz.page.api` inputs come unchecked and are checked here; docstrings are the documentation.
"""

from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr

from inference.evidence.inquiry import Inquiry, inquire
from inference.protocol import Engine
from inference.trace.session import Session
from viz.page.api import MAP_NUMBERS, add_endpoint, progress_told
from viz.page.evidence import End, with_end
from viz.page.matter import knockout_of
from viz.page.options import whole_in
from viz.page.shelf import Shelf
from viz.page.strength import ask_sweep, strength_of, sweep_in, sweep_numbers
from viz.view import Choice


@dataclass(frozen=True)
class EvidenceEndpoints:
    """What the endpoints call."""

    engine: Engine
    shelf: Shelf

    def knockout(
        self,
        session: str,
        box: list[float] | None = None,
        targets: list[str] | None = None,
        way: str = "block",
        who: str = "all",
        heads: list[list[int]] | None = None,
        layers: list[int] | None = None,
        top: int | None = None,
        b: str | None = None,
        draws: int = 20,
        seed: int = 0,
        image: int = 0,
    ) -> Generator[dict[str, Any], None, None]:
        """Whether the answer depends on a part of the picture: attention to it is cut off by the mask, and the words
        that each variant said are read once more. As JSON; a job yields its progress before.

        session: the id from the summary of /analyze. box: [left, top, right, bottom] in pixels of the picture; all
        cells that it touches are blocked. targets: of "box", "rest" (of the picture) and "whole"; left out, the box.
        way: "block" attention, or paint the box over with its "surroundings", the picture's "mean", or a "blur".
        who: who may not look, "all" (every token outside it), "text" (tokens behind the picture) or "answer" (those
        that predict the answer). heads: a list of [layer, head] that alone may not look; layers: all heads of these
        layers; top: the so many heads that variant b changed most against the base; all three left out, every head.
        draws: how many random boxes of the same size, or random heads, are blocked to compare with. image: which
        picture, from 0. In the result, for each variant and target: `drop`, by how many nats the words became less
        likely, `drops` by word, `random` (least, median and most of the random picks), `finding` and `sentence`.
        Under 0.5 nats no dependence is found.
        """
        kept = self.shelf.get(session if isinstance(session, str) else "")
        given = {
            "box": box,
            "way": way,
            "who": who,
            "draws": draws,
            "seed": seed,
            "layers": layers,
            "image": image,
            "top": top,
        }
        number = whole_in(given, "image", 0, least=0, most=max(0, len(kept.request.images) - 1))
        which = {"heads": ("all" if top is None else "changed") if heads is None else heads, "b": b}
        asked = knockout_of(kept, Choice(image=number), given | which | {"targets": targets or ["box"]})
        yield from self._asked(kept, asked)

    def sweep(
        self,
        session: str,
        adapter: str,
        scales: list[float] | None = None,
        token: int = 0,
        token_to: int | None = None,
        layer: int | None = None,
        head: int | None = None,
        box: list[float] | None = None,
        image: int = 0,
    ) -> Generator[dict[str, Any], None, None]:
        """What an adapter does at several strengths, as JSON; a job yields its progress before.

        The base and the adapter at every scale say the base's answer, in a session of its own whose id, `session`, is
        for /map and /compare, with `variants` as its labels. session: the id from the summary of /analyze. adapter: a
        name. scales: a list, 1 as trained, 0 the base; left out, 0 to 1.5 in steps of 0.25. token, token_to, layer,
        head, image: as for /map, in the session that is made; beyond its last token it is that one, and `token` in the
        result names it. box: [left, top, right, bottom] in pixels of the picture. For each scale `points` has
        `base_logprob` and `own_logprob` (of the base's answer and of the adapter's own, in nats, over all words),
        `on_picture` and `in_box` (shares of all the attention) and `variation` (total variation of the map to the
        base's within the picture); null is what is not known. `note` says where the adapter's own answer, read again
        from its text, became other tokens.
        """
        kept = self.shelf.get(session if isinstance(session, str) else "")
        asked = sweep_in({"adapter": adapter, "scales": scales})
        last = token if token_to is None else token_to
        place = {"token": token, "token_to": last, "layer": layer, "head": head, "image": image}
        options = {"choice": place, "box": box}
        strength_of(kept, options)  # what is wrong with them is told before the model runs
        with closing(with_end(ask_sweep(self.shelf, self.engine, kept, asked))) as steps:
            for step in steps:
                if not isinstance(step, End):
                    yield progress_told(step)
                    continue
                yield sweep_numbers(self.shelf, step.result, options)

    def _asked(self, session: Session, inquiry: Inquiry[Any]) -> Generator[dict[str, Any], None, None]:
        """Progress, then the result."""
        with closing(with_end(inquire(self.engine, session, inquiry))) as steps:
            for step in steps:
                yield asdict(step.result) if isinstance(step, End) else progress_told(step)


def add_evidence_endpoints(endpoints: EvidenceEndpoints, concurrency_id: str) -> None:
    """Adds the endpoints to the Blocks that are open; all share the queue of what uses the model."""
    model = {"concurrency_id": concurrency_id, "concurrency_limit": 1, "show_progress": "hidden"}
    add_endpoint(
        endpoints.knockout,
        [
            gr.Textbox(label="session", visible=False),
            gr.JSON(None, label="box", visible=False),
            gr.JSON(["box"], label="targets", visible=False),
            gr.Textbox("block", label="way", visible=False),
            gr.Textbox("all", label="who", visible=False),
            *(gr.JSON(None, label=name, visible=False) for name in ("heads", "layers")),
            gr.Number(None, precision=0, label="top", visible=False),
            gr.Textbox(None, label="b", visible=False),
            *(gr.Number(value, precision=0, label=name, visible=False) for name, value in _NUMBERS.items()),
        ],
        [gr.JSON(label="knocked", visible=False)],
        **model,
    )
    add_endpoint(
        endpoints.sweep,
        [
            *(gr.Textbox(label=name, visible=False) for name in ("session", "adapter")),
            gr.JSON(None, label="scales", visible=False),
            *(gr.Number(value, precision=0, label=name, visible=False) for name, value in MAP_NUMBERS.items()),
            gr.JSON(None, label="box", visible=False),
            gr.Number(0, precision=0, label="image", visible=False),
        ],
        [gr.JSON(label="strength", visible=False)],
        **model,
    )


_NUMBERS = {"draws": 20, "seed": 0, "image": 0}
