"""The page as Gradio Blocks: layout, listeners and endpoints put together. Knows no model; it is given an engine."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from inference.protocol import Engine
from inference.settings import Settings
from viz.page import api, api_evidence, layout
from viz.page.edge import Page
from viz.page.evidence import Results
from viz.page.examples import Example
from viz.page.forms import variant_rows
from viz.page.inquirer import Inquirer
from viz.page.listeners import Listeners
from viz.page.shelf import Shelf
from viz.page.weights import WeightDesk

MODEL = "model"
STATES = 500
"""All listeners and endpoints that use the model share this id, so that one of them runs at a time."""


def build_page(
    engine: Engine,
    settings: Settings,
    shelf: Shelf,
    desk: WeightDesk,
    results: Results,
    *,
    examples: Sequence[Example] = (),
) -> gr.Blocks:
    """The page, ready to be launched or mounted with `skin.look_and_feel()`."""
    is_mini = settings.model == ""
    hour_s = 3600
    page = Page(
        title="LoRA Attention Visualizer",
        analytics_enabled=False,
        fill_width=True,
        # Files of a live visit are younger than its session; only older ones are deleted.
        delete_cache=(hour_s, int(2 * settings.session_hours * hour_s) + hour_s),
    )
    listeners = Listeners(engine, settings, shelf, examples=examples, is_mini=is_mini)
    inquirer = Inquirer(engine, settings, results, listeners.visits)
    with page:
        parts = layout.lay_out(
            settings, examples=examples, variants=variant_rows(engine.adapters(), settings), is_mini=is_mini
        )
        _listen(page, parts, listeners, inquirer)
        api.add_endpoints(api.Endpoints(engine, settings, shelf, desk), MODEL)
        api_evidence.add_evidence_endpoints(api_evidence.EvidenceEndpoints(engine, shelf), MODEL)
    page.queue(max_size=settings.queue)
    # What Gradio keeps of a tab is small, but it keeps 10,000 of them unless told otherwise.
    page.state_session_capacity = STATES
    return page


def _listen(page: gr.Blocks, parts: layout.Parts, listeners: Listeners, inquirer: Inquirer) -> None:
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    model: dict[str, Any] = {
        "concurrency_id": MODEL,
        "concurrency_limit": 1,
        "show_progress": "hidden",
        "api_visibility": "private",
        "preprocess": False,
    }
    answer = [parts.stage, parts.session_id, parts.status, parts.ask, parts.cancel, parts.header]
    buttons = [parts.status, parts.ask, parts.cancel]
    page.load(listeners.opened, outputs=[parts.header, parts.variants, parts.stage], **quick)
    page.unload(listeners.closed)
    parts.header.refresh(listeners.model_state, outputs=parts.header, **quick)

    started = gr.on(
        [parts.ask.click, parts.question.submit], listeners.starting, outputs=buttons, trigger_mode="once", **quick
    )
    asked = started.then(listeners.ask, inputs=parts.form, outputs=answer, **model)
    swapping = parts.swap.click(listeners.starting, outputs=buttons, **quick)
    swapped = swapping.then(listeners.swap, inputs=[parts.session_id, parts.swap_picture], outputs=answer, **model)
    parts.stage.same(listeners.starting, outputs=buttons, **quick)
    repeated = parts.stage.same(listeners.same_words, trigger_mode="once", outputs=answer, **model)
    parts.stage.evidence(listeners.starting, outputs=buttons, **quick)
    inquired = parts.stage.evidence(inquirer.evidence, trigger_mode="once", outputs=[parts.told, *buttons], **model)
    for event in (
        asked,
        swapped,
        repeated,
        inquired,
    ):  # all that goes wrong inside is told there; what is left is a full queue
        event.failure(listeners.refused, outputs=buttons, **quick)
    inquired.failure(inquirer.over, outputs=parts.told, **quick)
    # The words come after the end, or the last progress on its way would write over them.
    stopped = parts.cancel.click(None, cancels=[asked, swapped, repeated, inquired])
    stopped.then(listeners.cancelled, outputs=buttons, **quick).then(inquirer.over, outputs=parts.told, **quick)

    raw = quick | {"preprocess": False}
    parts.picture.upload(listeners.check_picture, inputs=parts.picture, outputs=[parts.picture, parts.status], **raw)
    parts.swap_picture.upload(
        listeners.check_picture, inputs=parts.swap_picture, outputs=[parts.swap_picture, parts.status], **raw
    )
    parts.examples.pick(
        listeners.pick_example,
        inputs=parts.variants,
        outputs=[parts.picture, parts.question, parts.variants, parts.status, parts.swap_picture],
        **raw,
    )
    parts.kinds.pick(listeners.pick_kind, outputs=parts.question, **raw)
    parts.open_file.upload(
        listeners.open_file,
        inputs=parts.open_file,
        outputs=[parts.stage, parts.session_id, parts.status],
        **raw,
    )
