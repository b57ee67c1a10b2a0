"""How long a click takes: from the choice to all that it changes, in the handlers and on the real page.

    python -m benchmarks.click --page

Clicks change token, layer, head, variant and colour map, on the miniature's own answer about a picture of 192 px, on a
made session of a 2B model's shape about one of 1600 px, and, told apart, on one of an 8B model's shape about a
screenshot. All three lie on disk, as sessions of the page do. Each click answers with the maps, charts, strips and
words of all variants, made anew. What opening a session and its first look take is told apart too.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.clicks import KINDS, Click
from benchmarks.made import make_large_session, write_huge_session
from inference.in_process import InProcessEngine
from inference.intake import read_picture
from inference.settings import Settings
from inference.trace.files import load_session, save_session
from inference.trace.parse import parse_variant
from inference.trace.request import Request
from inference.trace.session import Session
from viz import handlers
from viz.overlay import COLORMAPS
from viz.view import Choice

SCENE = Path(__file__).parents[1] / "examples" / "pictures" / "mark.png"
QUESTION = "What color is the circle?"
VARIANTS = ("base", "shortcut", "other")
HUGE = "4,300 keys, 8B, 1.3 GB"
FINISHED = "finished"
"""The folder in which the page looks for the session that it shows first."""
PAIRS = 7


def main() -> None:
    """Measures, prints the tables, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--page", action="store_true", help="drive the real page in Chromium as well")
    parser.add_argument("--repeats", type=int, default=20, help="clicks of each kind on each session")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lora-attention-click-") as room:
        folders = lay_out(Path(room))
        clicks = [click for name, folder in folders.items() for click in click_handlers(name, folder, given.repeats)]
        print_table("handlers", clicks)
        paged = click_pages(folders, given.repeats) if given.page else []
    ratio = start_ratio()
    print(f"\nimport of the page over import of gradio: {ratio:.2f} (median of {PAIRS} pairs)\n")
    print(json.dumps(figures(clicks, paged) | {"start_over_gradio": round(ratio, 3)}))


def lay_out(room: Path) -> dict[str, Path]:
    """The folder of each session, by its name for the table; each is alone in its own folder as `FINISHED`."""
    folders = {name: room / str(number) / FINISHED for number, name in enumerate(("192 px", "1600 px", HUGE))}
    small, large, huge = folders.values()
    ask_miniature(small)
    save_session(make_large_session(), large)
    write_huge_session(huge)
    return folders


def ask_miniature(folder: Path) -> None:
    """Writes the miniature's answer about a shipped scene, base and two adapters, into a new folder."""
    folder.mkdir(parents=True)
    picture = read_picture(SCENE, name=SCENE.name, megapixels=Settings().picture_megapixels)
    request = Request(QUESTION, (picture,), tuple(map(parse_variant, VARIANTS)))
    for _ in InProcessEngine(Settings()).run(request, folder):
        pass


def figures(clicks: Sequence[Click], paged: Sequence[Click]) -> dict[str, float | None]:
    """Milliseconds that so many percent of the clicks keep to: on the two smaller sessions, and on the huge one."""

    def of(some: Sequence[Click], percent: int, *, huge: bool) -> float | None:
        chosen = [click for click in some if (click.session == HUGE) == huge]
        return percentile(chosen, percent) if chosen else None

    return {
        "p50_ms": of(clicks, 50, huge=False),
        "p95_ms": of(clicks, 95, huge=False),
        "page_p95_ms": of(paged, 95, huge=False),
        "huge_p50_ms": of(clicks, 50, huge=True),
        "huge_p95_ms": of(clicks, 95, huge=True),
        "huge_page_p95_ms": of(paged, 95, huge=True),
    }


def click_pages(folders: Mapping[str, Path], repeats: int) -> list[Click]:
    """The same on the real page, with the table printed."""
    from benchmarks.click_page import click_page  # Needs gradio and Chromium, which the handlers do without.

    paged = [click for name, folder in folders.items() for click in click_page(name, folder, repeats=repeats)]
    print_table("page", paged)
    return paged


def click_handlers(name: str, folder: Path, repeats: int) -> list[Click]:
    """Every kind of click in turn on the session in a folder, each to a choice that was not shown before, if any."""
    started = time.perf_counter()
    session = load_session(folder)
    choice, reason = handlers.first_choice(session)
    shown = handlers.look("id", session, choice, reason)
    print(f"{name}: opened and looked at first in {1000 * (time.perf_counter() - started):.0f} ms")
    rng, clicks = random.Random(0), []
    for _ in range(repeats):
        for kind in KINDS:
            wish = asdict(changed(choice, kind, session, shown.token_count, rng))
            started = time.perf_counter()
            choice = handlers.check_choice(session, wish)
            json.dumps(asdict(handlers.look("id", session, choice)))
            clicks.append(Click(kind, name, 1000 * (time.perf_counter() - started)))
    return clicks


def changed(choice: Choice, kind: str, session: Session, tokens: int, rng: random.Random) -> Choice:
    """The choice with that one thing changed; one layer or head in five is the mean over all."""
    if kind == "token":
        token = rng.choice([token for token in range(tokens) if token != choice.token])
        return replace(choice, token=token, token_to=token)
    if kind in ("layer", "head"):
        count = session.model.layers if kind == "layer" else session.model.heads
        number = None if rng.random() < 0.2 else rng.randrange(count)
        return replace(choice, layer=number) if kind == "layer" else replace(choice, head=number)
    if kind == "variant":
        labels = [run.variant.label for run in session.runs]
        return replace(choice, hidden=() if choice.hidden else (rng.choice(labels),))
    return replace(choice, colormap=rng.choice([name for name in COLORMAPS if name != choice.colormap]))


def start_ratio() -> float:
    """Seconds of a fresh interpreter that imports the whole page, over one that imports gradio: medians, in turn."""
    seconds: dict[str, list[float]] = {"viz.serve": [], "gradio": []}
    for pair in range(PAIRS + 1):
        for module, taken in seconds.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            if pair:  # The first pair fills the disk's cache.
                taken.append(time.perf_counter() - started)
    return statistics.median(seconds["viz.serve"]) / statistics.median(seconds["gradio"])


def print_table(title: str, clicks: Sequence[Click]) -> None:
    """One line for each session and kind of click."""
    print(f"\n{title:<26}{'click':<10}{'n':>5}{'p50 ms':>10}{'p95 ms':>10}{'max ms':>10}")
    for name in dict.fromkeys(click.session for click in clicks):
        for kind in KINDS:
            some = [click for click in clicks if (click.session, click.kind) == (name, kind)]
            longest = max(click.ms for click in some)
            line = f"{name:<26}{kind:<10}{len(some):>5}"
            print(f"{line}{percentile(some, 50):>10}{percentile(some, 95):>10}{longest:>10.1f}")


def percentile(clicks: Sequence[Click], percent: int) -> float:
    """The time that so many percent of the clicks keep to: the nearest rank, no less than that share."""
    ordered = sorted(click.ms for click in clicks)
    return round(ordered[-(-percent * len(ordered) // 100) - 1], 1)


if __name__ == "__main__":
    main()
