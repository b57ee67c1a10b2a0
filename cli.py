"""The command line: serve the page, ask one question or many, look at a folder of adapters.

Knows which engine to build and how a person types; all work is done in the rooms behind it.
"""

import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from inference.catalog import find_adapters
from inference.errors import VisualizerError
from inference.evidence.knockout import MOST_DRAWS
from inference.in_process import InProcessEngine
from inference.intake import read_picture
from inference.named import split_adapters
from inference.protocol import Engine, Progress
from inference.settings import Settings, read_settings
from inference.study.ask import Options
from inference.study.read import read_lines
from inference.trace.parse import parse_keep, parse_variant, parse_words
from inference.trace.request import BASE, Generation, Request
from inference.trace.session import AdapterFacts, Session
from viz import weight_results
from viz.report import results as study_results
from viz.results import SESSION, results_folder, write_results

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="See where a Qwen3-VL model and its LoRA adapters look.",
)

Model = Annotated[
    str, typer.Option(help="Folder, or hub name as owner/name#revision; left out: the built-in miniature.")
]


def main() -> None:
    """The console script: a mistake that a person can mend is one sentence and exit status 2, without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        app()
    except VisualizerError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None


@app.command(epilog="Example: lora-attention serve --port 7861")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 7860,
    model: Model = "",
    adapters: Annotated[Path | None, typer.Option(help="Folder whose subfolders are adapters.")] = None,
) -> None:
    """Serve the page."""
    from viz.serve import serve as serve_page  # gradio takes seconds to import; the other commands do without it

    settings = with_options(read_settings(), model=model, adapters=adapters)
    engine = InProcessEngine(settings)
    engine.warm_up()
    serve_page(engine, settings, host=host, port=port)


@app.command(
    epilog='Example: lora-attention run examples/pictures/mark.png "What color is the circle?" '
    "--adapter shortcut --adapter other@0.5 --out out"
)
def run(
    image: Annotated[Path, typer.Argument(help="A picture file.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    adapter: Annotated[
        list[str] | None, typer.Option(help="NAME_OR_PATH[@SCALE]; may be given several times; @ is always a scale.")
    ] = None,
    model: Model = "",
    out: Annotated[Path, typer.Option(help="Folder for session, pictures and summary.json.")] = Path("out"),
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 64,
    max_pixels: Annotated[int | None, typer.Option(help="Largest area of the resized picture.")] = None,
    words: Annotated[
        str, typer.Option(help="own: each variant's own answer; base: all are given the base's, to compare them.")
    ] = "own",
    force: Annotated[str | None, typer.Option(help="An answer that every variant is made to give.")] = None,
    expect: Annotated[str | None, typer.Option(help="An answer whose log-probability is told.")] = None,
    keep: Annotated[
        str, typer.Option(help="Tokens whose attention is kept: some of question, answer, thinking, prompt.")
    ] = "question,answer",
    layers: Annotated[str, typer.Option(help="Layers whose single heads are kept, such as 0-5,20.")] = "all",
    heads: Annotated[str, typer.Option(help="Heads that are kept one by one, such as 0-5,20.")] = "all",
    keys: Annotated[str, typer.Option(help="What they look at: all tokens, or those of the pictures alone.")] = "all",
    numbers: Annotated[str, typer.Option(help="How shares are stored: float16 or float32.")] = "float16",
    compare_eager: Annotated[
        bool, typer.Option("--compare-eager", help="Run again with eager attention and tell the largest difference.")
    ] = False,
) -> None:
    """Ask one question about one picture, of the base model and of each adapter.

    Means over heads and over layers, and what went to pictures, question and the rest, are always kept of all of them.
    """
    settings = with_options(read_settings(), model=model)
    names, folders = split_adapters(adapter or [])
    request = make_request(
        image,
        question,
        names,
        settings,
        generation=Generation(max_new_tokens=max_new_tokens),
        words=parse_words(words),
        forced_answer=force,
        expected_answer=expect,
        max_pixels=max_pixels,
        keep=parse_keep(keep.replace(" ", "").split(","), layers=layers, heads=heads, keys=keys, numbers=numbers),
        compare_eager=compare_eager,
    )
    ask(InProcessEngine(settings, folders=folders), request, out)


@app.command(epilog="Example: lora-attention adapters inference/mini/weights/adapters")
def adapters(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder whose subfolders are adapters.")],
) -> None:
    """List the adapters in a folder, and what is wrong with those that cannot be used."""
    found = find_adapters(folder)
    for facts in found:
        typer.echo(describe(facts))
    if not found:
        typer.echo(f"No adapters in {folder}.")
    if any(facts.problems for facts in found):
        raise typer.Exit(1)


def describe(facts: AdapterFacts) -> str:
    """A few lines about one adapter, for people."""
    if facts.problems:
        return "\n  ".join([facts.name, *(f"cannot be used: {problem}" for problem in facts.problems)])
    lines = [
        facts.name,
        f"{facts.kind} rank {facts.rank}, alpha {facts.alpha:g}, base {facts.base or 'not named'}",
        f"modules {', '.join(facts.modules)} ({' and '.join(facts.towers)} tower), {len(facts.layers)} text layers",
    ]
    return "\n  ".join([*lines, facts.description] if facts.description else lines)


def with_options(settings: Settings, **options: object) -> Settings:
    """The settings with those options that were given on the command line."""
    return settings.model_copy(update={name: value for name, value in options.items() if value})


def make_request(image: Path, question: str, names: list[str], settings: Settings, **fields: object) -> Request:
    """A request for the base and these adapters; `fields` go to `Request` as they are."""
    picture = read_picture(image, name=image.name, megapixels=settings.picture_megapixels)
    variants = (BASE, *(parse_variant(name) for name in names))
    return Request(question, (picture,), variants, **fields)  # type: ignore[arg-type]


def ask(engine: Engine, request: Request, out: Path) -> None:
    """Runs the request, tells its progress on stderr, and writes session, pictures and summary to `out`.

    What is cancelled, or goes wrong, leaves `out` as it was.
    """
    with results_folder(out) as folder:
        session = run_engine(engine, request, folder / SESSION)
        names = write_results(session, folder)
    for name in (SESSION, *names):
        typer.echo(f"wrote {out / name}", err=True)
    for run_ in session.runs:
        typer.echo(f"{run_.variant.label}: {run_.answer}")
        if run_.eager_error is not None:
            typer.echo(f"{run_.variant.label}: at most {run_.eager_error:.1e} from eager attention", err=True)


def run_engine(engine: Engine, request: Request, folder: Path) -> Session:
    """The session, which now lies in the new folder; its progress is told on stderr."""
    folder.mkdir()
    with closing(engine.run(request, folder)) as steps:
        for step in steps:
            if isinstance(step, Session):
                return step
            typer.echo(tell(step), err=True)
    raise RuntimeError("the engine ended without a session")


def tell(step: Progress) -> str:
    """One line of progress: `shortcut: tokens 3 of at most 64`, or the sentence of what will be kept."""
    if step.stage == "size":
        return step.text
    names = {"rows": "rows, layer", "check": "eager attention, to compare"}
    most = "at most " if step.stage == "tokens" else ""
    count = f" {step.done} of {most}{step.total}" if step.done else ""
    return f"{step.variant + ': ' if step.variant else ''}{names.get(step.stage, step.stage)}{count}"


@app.command(
    epilog="Example: lora-attention compare --data examples/pictures --question 'What color is the circle?' "
    "--adapter shortcut --adapter other --out out"
)
def compare(
    data: Annotated[
        Path, typer.Option(help="Folder of pictures, JSONL (picture, question, answer, box), or COCO or RefCOCO JSON.")
    ],
    adapter: Annotated[list[str], typer.Option(help="NAME_OR_PATH[@SCALE]; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.json, tables and records.")] = Path("out"),
    question: Annotated[
        str, typer.Option(help="Asked where a line has none; {name} is what a COCO or RefCOCO box is called.")
    ] = "",
    pictures: Annotated[Path | None, typer.Option(help="Folder that names of pictures in --data begin at.")] = None,
    general: Annotated[
        Path | None, typer.Option(help="A second set, of general questions: what did the adapters change there?")
    ] = None,
    general_question: Annotated[str, typer.Option(help="As --question, for --general.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many lines of each set.")] = None,
    knockout: Annotated[
        bool, typer.Option("--knockout", help="Block each line's box, and tell whether the answers depend on it.")
    ] = False,
    draws: Annotated[int, typer.Option(min=0, max=MOST_DRAWS, help="Random boxes beside each knock-out.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")] = 0,
    model: Model = "",
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 16,
    max_pixels: Annotated[int | None, typer.Option(help="Largest area of the resized picture.")] = None,
) -> None:
    """Ask many pictures of the base and of adapters, and report what changed, with intervals and tests.

    What was asked into the same folder before is not asked again, so after Ctrl-C the same command goes on.
    """
    settings = with_options(read_settings(), model=model)
    names, folders = split_adapters(adapter)
    options = Options(
        variants=(BASE, *(parse_variant(name) for name in names)),
        generation=Generation(max_new_tokens=max_new_tokens),
        max_pixels=max_pixels,
        draws=draws if knockout else None,
        seed=seed,
        megapixels=settings.picture_megapixels,
    )
    sets = study_results.Sets(
        read_lines(data, question=question, pictures=pictures, limit=limit),
        read_lines(general, question=general_question, limit=limit) if general else None,
    )
    raise typer.Exit(study_results.tell_study(InProcessEngine(settings, folders=folders), sets, options, out))


@app.command(
    epilog="Example: lora-attention calibrate --data pictures --question 'What is on the table?' --model models/qwen"
)
def calibrate(
    data: Annotated[Path, typer.Option(help="As of compare; of each wording at least 30 pictures.")],
    question: Annotated[str, typer.Option(help="Asked where a line has none.")] = "",
    pictures: Annotated[Path | None, typer.Option(help="Folder that names of pictures in --data begin at.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Only so many lines.")] = 120,
    model: Model = "",
    max_pixels: Annotated[int | None, typer.Option(help="Largest area of the resized picture.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to add to; left out: the one in the model's folder.")] = None,
) -> None:
    """Find the head and the word whose map shows best where the base looks, for each wording of a question.

    Without it nothing is said of whether a map agrees with what the answer depends on. The miniature is calibrated.
    """
    settings = with_options(read_settings(), model=model)
    lines = read_lines(data, question=question, pictures=pictures, limit=limit)
    options = Options(max_pixels=max_pixels, megapixels=settings.picture_megapixels)
    study_results.tell_calibration(InProcessEngine(settings), lines, options, out)


@app.command(
    epilog="Example: lora-attention weights shortcut other --base inference/mini/weights/base --chart out/weights.png"
)
def weights(
    adapter: Annotated[list[str], typer.Argument(help="NAME_OR_PATH of an adapter, or a folder of several.")],
    base: Annotated[
        Path | None, typer.Option(help="The base model's folder: tells each change as a share of its weight.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    csv: Annotated[Path | None, typer.Option(help="File for a table with a line for each module.")] = None,
    chart: Annotated[Path | None, typer.Option(help="File for the chart; .png, .svg or .pdf.")] = None,
) -> None:
    """Tell what adapters change in the weights, by layer and module; no model is run."""
    if chart:
        weight_results.chart_kind(chart)
    folders = weight_results.find_folders(adapter, InProcessEngine(read_settings()).adapters())
    weighed = weight_results.weigh_folders(folders, base)
    typer.echo(weight_results.weights_json(weighed) if as_json else weight_results.weights_text(weighed))
    for path in weight_results.write_weights(weighed, csv=csv, chart=chart):
        typer.echo(f"wrote {path}", err=True)


if __name__ == "__main__":
    main()
