"""The named endpoints for programs: /analyze, /map, /compare, /weights and /adapters. They make sense without the page.

Those that ask the model once more about a session stand in `viz.page.api_evidence`.

Their parameters are hidden components, which is where Gradio takes the types of its documentation from; their
docstrings are that documentation. Inputs come unchecked, as everywhere, and are checked here.
"""

import inspect
import secrets
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

import gradio as gr

from inference.errors import SettingsError
from inference.protocol import Engine, Progress
from inference.settings import Settings
from inference.trace.parse import parse_variant
from inference.trace.request import Request, Variant
from inference.trace.session import Session
from inference.trace.summary import summarise, summarise_adapter
from viz import handlers
from viz.change_numbers import change_numbers
from viz.changed import check_pair
from viz.page import forms
from viz.page.scratch import folder_of
from viz.page.shelf import Shelf
from viz.page.weights import WeightDesk
from viz.view import Choice

COPIED_S = 60.0
POOLINGS = ("attention", "picture")
NAMES = tuple(name for name in forms.Form.__dataclass_fields__ if name not in ("picture", "question", "variants"))


class Endpoints:
    """What the endpoints call."""

    def __init__(self, engine: Engine, settings: Settings, shelf: Shelf, desk: WeightDesk) -> None:
        self.engine = engine
        self.settings = settings
        self.shelf = shelf
        self.desk = desk
        self._folder = folder_of(self, "maps")

    def analyze(
        self, image: Any, question: str, variants: list[str], settings: dict[str, Any]
    ) -> Generator[tuple[dict[str, Any], str | None], None, None]:
        """Ask a question about a picture, of the base model and of adapters.

        Gives a summary (id of the session for /map; of each variant the answer, its tokens with probabilities, and
        timings) and the session as a file, which opens again on the page. A job yields its progress before.
        image: a PNG, JPEG, WebP, GIF, BMP or TIFF file. question: what to ask. variants: labels such as "base",
        "other", "other@0.5" or "one+two"; /adapters lists the names. settings: answer_tokens, sample, temperature,
        top_p, seed, system_prompt, words ("own": each variant its own answer; "base": the base's for all, to compare
        them), forced_answer, expected_answer, min_pixels, max_pixels, and what is kept:
        keep_tokens (a list of "question", "answer", "thinking", "prompt"), keep_layers and keep_heads (such as
        "0-5,20"; left out, all), keep_keys ("all" or "pictures"), keep_numbers ("float16" or "float32"),
        compare_eager (true: tell the largest difference from eager attention). All may be left out.
        """
        asked = self._request(image, question, variants, settings)
        with closing(self.shelf.ask(self.engine, asked)) as steps:
            for step in steps:
                yield self._finish(step) if isinstance(step, str) else (progress_told(step), None)

    def map(
        self,
        session: str,
        variant: str = "base",
        token: int = 0,
        token_to: int | None = None,
        layer: int | None = None,
        head: int | None = None,
        pooling: str = "attention",
        image: int = 0,
        colormap: str = "viridis",
    ) -> tuple[str, dict[str, Any]]:
        """Where a token looked: the map over the picture as PNG, and its numbers as JSON. Uses no model.

        session: the id from the summary of /analyze. variant: its label. token: counted from 0 over question, then
        thinking, then answer; token_to: the last one of a range. layer, head: counted from 0; left out, the mean
        over all. pooling: "attention" for shares of all the attention, "picture" for shares of what went to the
        picture. image: which picture, from 0. colormap: viridis, cividis, magma, inferno or plasma.
        """
        given = {"token": token, "token_to": token_to, "layer": layer, "head": head, "image": image}
        kept, choice = self._chosen(session, pooling, given | {"colormap": colormap})
        png = handlers.map_file(kept, choice, variant, "png")
        return self._file(png), handlers.map_numbers(kept, choice, variant)

    def compare(
        self,
        session: str,
        a: str | None = None,
        b: str | None = None,
        token: int = 0,
        token_to: int | None = None,
        layer: int | None = None,
        head: int | None = None,
        measure: str = "share",
        box: list[float] | None = None,
        pooling: str = "attention",
        image: int = 0,
    ) -> dict[str, Any]:
        """What changed from variant a to variant b, as JSON. Uses no model.

        session: the id from the summary of /analyze. a, b: labels of two of its variants; left out, the base and the
        first other. token, token_to, layer, head, pooling, image: as for /map. measure: what `heads` (layers x heads)
        and `ranked` (those that changed most) hold: "share" (change of the share on the picture), "variation" (total
        variation) or "shannon" (Jensen-Shannon distance). `cell`: at the chosen layer and head the maps of a and b,
        their difference and how many cells the map moved. box: [left, top, right, bottom] in pixels of the picture,
        for the share in it, lift and hit of every variant. `missing`: why the two cannot be compared, if they had
        read different words; ask with the setting words "base" then.
        """
        given = {"token": token, "token_to": token_to, "layer": layer, "head": head, "image": image}
        kept, choice = self._chosen(session, pooling, given)
        pair = check_pair(kept, {"a": a, "b": b, "measure": measure, "box": box}, choice.image)
        return change_numbers(kept, choice, pair)

    def adapters(self) -> list[dict[str, Any]]:
        """The adapters for /analyze, with rank, modules and layers; `problems` says why one cannot be used."""
        return [summarise_adapter(facts) for facts in self.engine.adapters()]

    def weights(self, adapters: list[str], measure: str = "frobenius") -> dict[str, Any]:
        """What adapters change in each weight, from their files alone: as JSON. Uses no model.

        adapters: up to 6 names; /adapters lists them. measure: what `charts` holds for each layer and module, of
        frobenius, spectral, effective_rank, stable_rank, or ratio, for which the base's weights are read as well;
        `changes` has the others in any case. `overlaps`: how alike two adapters are. `problems`: why an adapter, or
        a pair, has no figures.
        """
        return self.desk.values(adapters, measure)

    def _chosen(self, session: Any, pooling: Any, given: dict[str, Any]) -> tuple[Session, Choice]:
        """The session and the choice in it; without `token_to` one token."""
        kept = self.shelf.get(session if isinstance(session, str) else "")
        if pooling not in POOLINGS:
            raise SettingsError(f"a pooling of {', '.join(POOLINGS)}", repr(pooling)[:40], "choose one of them")
        last = given["token"] if given["token_to"] is None else given["token_to"]
        return kept, handlers.check_choice(kept, given | {"token_to": last, "within": pooling == "picture"})

    def _request(self, image: Any, question: Any, variants: Any, settings: Any) -> Request:
        given = {} if settings is None else settings
        if not isinstance(given, dict):
            raise SettingsError("settings as an object", type(given).__name__, f"use fields of {', '.join(NAMES)}")
        unknown = [str(name) for name in given if name not in NAMES]
        if unknown:
            raise SettingsError(f"settings of {', '.join(NAMES)}", unknown[0][:40], "leave the others out")
        return forms.Form(image, question, _variants(variants), **given).request(self.settings)

    def _finish(self, session_id: str) -> tuple[dict[str, Any], str]:
        summary = {"session": session_id} | summarise(self.shelf.get(session_id))
        return summary, str(self.shelf.export(session_id))

    def _file(self, png: bytes) -> str:
        """A file with these bytes for Gradio to copy into its cache; those written before are copied by now."""
        for old in self._folder.iterdir():
            if old.stat().st_mtime < time.time() - COPIED_S:
                old.unlink(missing_ok=True)
        path = self._folder / f"map-{secrets.token_hex(8)}.png"
        path.write_bytes(png)
        return str(path)


def add_endpoints(endpoints: Endpoints, concurrency_id: str) -> None:
    """Adds the endpoints to the Blocks that are open; the one that uses the model shares its queue."""
    quick = {"concurrency_limit": 4, "show_progress": "hidden"}
    add_endpoint(
        endpoints.analyze,
        [
            gr.Image(type="filepath", image_mode=None, label="image", visible=False),
            gr.Textbox(label="question", visible=False),
            gr.JSON(["base"], label="variants", visible=False),
            gr.JSON({}, label="settings", visible=False),
        ],
        [gr.JSON(label="summary", visible=False), gr.File(label="session file", visible=False)],
        concurrency_id=concurrency_id,
        concurrency_limit=1,
        show_progress="hidden",
    )
    add_endpoint(
        endpoints.map,
        [
            gr.Textbox(label="session", visible=False),
            gr.Textbox("base", label="variant", visible=False),
            *(gr.Number(value, precision=0, label=name, visible=False) for name, value in MAP_NUMBERS.items()),
            gr.Textbox("attention", label="pooling", visible=False),
            gr.Number(0, precision=0, label="image", visible=False),
            gr.Textbox("viridis", label="colormap", visible=False),
        ],
        [gr.File(label="map", visible=False), gr.JSON(label="numbers", visible=False)],
        **quick,
    )
    add_endpoint(
        endpoints.compare,
        [
            gr.Textbox(label="session", visible=False),
            *(gr.Textbox(None, label=name, visible=False) for name in ("a", "b")),
            *(gr.Number(value, precision=0, label=name, visible=False) for name, value in MAP_NUMBERS.items()),
            gr.Textbox("share", label="measure", visible=False),
            gr.JSON(None, label="box", visible=False),
            gr.Textbox("attention", label="pooling", visible=False),
            gr.Number(0, precision=0, label="image", visible=False),
        ],
        [gr.JSON(label="change", visible=False)],
        **quick,
    )
    add_endpoint(
        endpoints.weights,
        [gr.JSON([], label="adapters", visible=False), gr.Textbox("frobenius", label="measure", visible=False)],
        [gr.JSON(label="weights", visible=False)],
        **quick,
    )
    add_endpoint(endpoints.adapters, [], [gr.JSON(label="adapters", visible=False)], **quick)


MAP_NUMBERS = {"token": 0, "token_to": None, "layer": None, "head": None}


def add_endpoint(function: Any, inputs: list[Any], outputs: list[Any], **named: Any) -> None:
    """Adds one endpoint under the function's name, with its docstring as the description."""
    # `preprocess=False`: a picture reaches `inference.intake` as the file that it is, undecoded.
    gr.Button(visible=False).click(
        function,
        inputs=inputs,
        outputs=outputs,
        api_name=function.__name__,
        api_description=" ".join((inspect.getdoc(function) or "").split()),
        preprocess=False,
        **named,
    )


def _variants(variants: Any) -> tuple[Variant, ...]:
    listed = ["base"] if variants is None else variants
    if not isinstance(listed, list) or not all(isinstance(label, str) for label in listed):
        raise SettingsError("variants as a list of labels", repr(variants)[:40], 'send for instance ["base", "other"]')
    return tuple(parse_variant(label) for label in listed)


def progress_told(progress: Progress) -> dict[str, Any]:
    """What a job gives before its end."""
    return {"progress": progress.text if progress.stage == "size" else forms.working(progress)["text"]}
