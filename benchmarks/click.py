"""How long a click takes: from the choice to all that it changes, in the handlers and on the real page.

    python -m benchmarks.click --page

Clicks change token, layer, head, variant and colour map, on the miniature's own answer about a picture of 192 px and
on a made session of a 2B model's shape about one of 1600 px. Each answers with the maps, charts, strips and words of
all variants, made anew. What a session's first look takes (sums over all of its rows, once) is told apart.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.clicks import KINDS, Click
from benchmarks.made import make_large_session
from inference.in_process import InProcessEngine
from inference.intake import read_picture
from inference.settings import Settings
from inference.trace.request import Request, parse_variant
from inference.trace.session import Session
from viz import handlers
from viz.overlay import COLORMAPS
from viz.view import Choice

SCENE = Path(__file__).parents[1] / "examples" / "pictures" / "mark.png"
QUESTION = "What color is the circle?"
VARIANTS = ("base", "shortcut", "other")
PAIRS = 7


def main() -> None:
    """Measures, prints the tables, then the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--page", action="store_true", help="drive the real page in Chromium as well")
    parser.add_argument("--repeats", type=int, default=20, help="clicks of each kind on each session")
    given = parser.parse_args()
    sessions = {"192 px, miniature": ask_miniature(), "1600 px, made": make_large_session()}
    clicks = [click for name, session in sessions.items() for click in click_handlers(name, session, given.repeats)]
    print_table("handlers", clicks)
    paged: list[Click] = []
    if given.page:
        from benchmarks.click_page import click_page  # Needs gradio and Chromium, which the handlers do without.

        for name, session in sessions.items():
            paged += click_page(name, session, repeats=given.repeats)
        print_table("page", paged)
    ratio = start_ratio()
    print(f"\nimport of the page over import of gradio: {ratio:.2f} (median of {PAIRS} pairs)\n")
    figures = {
        "p50_ms": percentile(clicks, 50),
        "p95_ms": percentile(clicks, 95),
        "page_p95_ms": percentile(paged, 95) if paged else None,
        "start_over_gradio": round(ratio, 3),
    }
    print(json.dumps(figures))


def ask_miniature() -> Session:
    """The miniature's answer about a shipped scene, base and two adapters."""
    picture = read_picture(SCENE, name=SCENE.name, megapixels=Settings().picture_megapixels)
    request = Request(QUESTION, (picture,), tuple(map(parse_variant, VARIANTS)))
    *_, session = InProcessEngine(Settings()).run(request)
    if not isinstance(session, Session):
        raise TypeError(f"the engine ended with {session!r}")
    return session


def click_handlers(name: str, session: Session, repeats: int) -> list[Click]:
    """Every kind of click in turn, each to a choice that was not shown before where there is one."""
    started = time.perf_counter()
    choice, reason = handlers.first_choice(session)
    shown = handlers.look("id", session, choice, reason)
    print(f"{name}: first look, sums over all rows included: {1000 * (time.perf_counter() - started):.0f} ms")
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
    print(f"\n{title:<20}{'click':<10}{'n':>5}{'p50 ms':>10}{'p95 ms':>10}{'max ms':>10}")
    for name in dict.fromkeys(click.session for click in clicks):
        for kind in KINDS:
            some = [click for click in clicks if (click.session, click.kind) == (name, kind)]
            longest = max(click.ms for click in some)
            line = f"{name:<20}{kind:<10}{len(some):>5}"
            print(f"{line}{percentile(some, 50):>10}{percentile(some, 95):>10}{longest:>10.1f}")


def percentile(clicks: Sequence[Click], percent: int) -> float:
    """The time that so many percent of the clicks keep to: the nearest rank, no less than that share."""
    ordered = sorted(click.ms for click in clicks)
    return round(ordered[-(-percent * len(ordered) // 100) - 1], 1)


if __name__ == "__main__":
    main()
