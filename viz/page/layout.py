"""What stands where on the page: components alone, no listener. Knows no engine and no session."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from inference.mini.facts import KINDS
from inference.settings import Settings
from viz.overlay import COLORMAPS
from viz.page import skin
from viz.page.examples import Example, thumbnails
from viz.page.forms import told


@dataclass(frozen=True)
class Parts:
    """The page's components that listeners read or write; `form` in the order of `forms.Form`."""

    header: Any
    session_id: Any
    picture: Any
    examples: Any
    question: Any
    kinds: Any
    variants: Any
    ask: Any
    cancel: Any
    status: Any
    settings: tuple[Any, ...]
    swap_picture: Any
    swap: Any
    open_file: Any
    stage: Any
    told: Any
    """Seen by nobody: hands what is told of an inquiry on to the stage."""

    @property
    def form(self) -> list[Any]:
        return [self.picture, self.question, self.variants, *self.settings]


def lay_out(settings: Settings, *, examples: Sequence[Example], variants: list[dict[str, Any]], is_mini: bool) -> Parts:
    """All parts, inside the Blocks that are open."""
    header = _html("header.html", "header.js", root="header", value={}, elem_id="lav-header")
    session_id = gr.State("", time_to_live=settings.session_hours * 3600)
    with gr.Row(elem_id="lav-body"):
        with gr.Column(elem_id="lav-left"):
            picture = _picture("Picture", "lav-picture", 176)
            shown = {"legend": "Examples", "items": thumbnails(examples)}
            chips = _html("chips.html", "chips.js", root=".lav-chips", value=shown, elem_id="lav-examples")
            question = gr.Textbox(
                label="Question", lines=2, max_lines=6, placeholder="What do you want to know?", elem_id="lav-question"
            )
            kinds = _html("chips.html", "chips.js", root=".lav-chips", value=_kinds(is_mini), elem_id="lav-kinds")
            rows = _html("variants.html", "variants.js", root=".lav-variants", value=variants, elem_id="lav-variants")
            with gr.Row(elem_id="lav-buttons"):
                ask = gr.Button("Ask", variant="primary", elem_id="lav-ask")
                cancel = gr.Button("Cancel", interactive=False, elem_id="lav-cancel")
            status = _html("status.html", "status.js", root=".lav-status", value=told("", "idle"), elem_id="lav-status")
            fields = _settings(settings)
            swap_picture, swap = _swap()
            open_file = gr.UploadButton("Open a saved session", file_types=[".zip"], size="sm", elem_id="lav-open")
        with gr.Column(elem_id="lav-right"):
            stage = _html(
                "stage.html",
                *skin.STAGE_SCRIPTS,
                root=".lav-stage",
                value=None,
                elem_id="lav-result",
                colormaps=dict(COLORMAPS),
                report_mb=settings.upload_mb,
            )
            told_of = _html("told.html", "told.js", root=".lav-told", value=None, elem_id="lav-told")
    return Parts(
        header, session_id, picture, chips, question, kinds, rows, ask, cancel, status, fields, swap_picture, swap,
        open_file, stage, told_of,
    )  # fmt: skip


def _html(template: str, *scripts: str, root: str, value: Any, elem_id: str, **props: Any) -> Any:
    """A part of our own: a fixed template, and scripts that fill it with text."""
    names = scripts if "dom.js" in scripts else ("dom.js", *scripts)
    return gr.HTML(
        value,
        html_template=skin.template(template),
        js_on_load=skin.script(*names, root=root),
        apply_default_css=False,
        elem_id=elem_id,
        **props,
    )


def _picture(label: str, elem_id: str, height: int) -> Any:
    # As a file path, and read by listeners without Gradio's own decoding: `inference.intake` has to see it first.
    return gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        label=label,
        height=height,
        buttons=[],
        placeholder="Drop an image file here to upload",  # the name that Gradio gives the button
        alt_text="The picture that the question is about",
        elem_id=elem_id,
    )


def _kinds(is_mini: bool) -> dict[str, Any]:
    if not is_mini:
        return {}
    items = [{"text": kind.name, "title": kind.example} for kind in KINDS]
    return {"legend": "Questions the miniature knows", "items": items}


def _settings(settings: Settings) -> tuple[Any, ...]:
    with gr.Accordion("Settings", open=False, elem_id="lav-settings"):
        answer_tokens = gr.Slider(
            1, settings.answer_tokens, value=min(64, settings.answer_tokens), step=1, label="Most answer tokens"
        )
        sample = gr.Checkbox(False, label="Sample instead of taking the likeliest token")
        with gr.Row():
            temperature = gr.Number(1.0, minimum=0.01, maximum=10, step=0.1, label="Temperature", min_width=80)
            top_p = gr.Number(1.0, minimum=0.01, maximum=1, step=0.05, label="Top p", min_width=80)
            seed = gr.Number(0, minimum=0, precision=0, label="Seed", min_width=80)
        system_prompt = gr.Textbox(label="System prompt", lines=1, max_lines=4)
        words = gr.Radio(
            [("Own answers", "own"), ("Same words: the base's answer", "base")],
            value="own",
            label="Words",
            info="With the same words each token means the same in every variant, and all of them can be compared.",
        )
        forced = gr.Textbox(label="Words to force", info="Every variant says this instead of its own answer.")
        expected = gr.Textbox(label="Expected answer", info="Its log-probability is told for every variant.")
        with gr.Row():
            own = "0: the model's own."
            smallest = gr.Number(
                settings.min_pixels or 0, precision=0, label="Smallest area (px)", info=own, min_width=120
            )
            largest = gr.Number(
                settings.max_pixels or 0, precision=0, label="Largest area (px)", info=own, min_width=120
            )
        kept = _kept()
    return (
        answer_tokens,
        sample,
        temperature,
        top_p,
        seed,
        system_prompt,
        words,
        forced,
        expected,
        smallest,
        largest,
        *kept,
    )


def _kept() -> tuple[Any, ...]:
    # Layers and heads are texts: a number left empty would become 0 when the settings are opened.
    with gr.Column(elem_id="lav-kept"):
        gr.Markdown("**What is kept** of single heads. Their means and sums are kept of all.")
        tokens = gr.CheckboxGroup(
            [("Question", "question"), ("Answer", "answer"), ("Thinking", "thinking"), ("Whole prompt", "prompt")],
            value=["question", "answer"],
            label="Tokens",
            info="Whose attention is kept.",
        )
        with gr.Row():
            layers = gr.Textbox(label="Layers", placeholder="all", info="Such as 0-5,20.", min_width=120)
            heads = gr.Textbox(label="Heads", placeholder="all", info="Such as 0,3.", min_width=120)
        keys = gr.Radio(
            [("All tokens", "all"), ("Pictures only", "pictures")],
            value="all",
            label="Keys",
            info="What they may be seen to look at.",
        )
        numbers = gr.Radio(
            ["float16", "float32"], value="float16", label="Numbers", info="float32 is exact and twice as large."
        )
        eager = gr.Checkbox(
            False, label="Compare with eager attention", info="Runs once more and tells the largest difference."
        )
    return tokens, layers, heads, keys, numbers, eager


def _swap() -> tuple[Any, Any]:
    with gr.Accordion("Swap picture", open=False, elem_id="lav-swap-box"):
        gr.Markdown("The same question and variants on a second picture: where the right answer changes and the "
                    "given one does not, it did not come from the picture.")  # fmt: skip
        picture = _picture("Second picture", "lav-swap-picture", 120)
        button = gr.Button("Ask about this picture", size="sm", elem_id="lav-swap")
    return picture, button
