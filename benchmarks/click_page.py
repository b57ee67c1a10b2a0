"""Clicks on the real page, served here and shown by Chromium: from the input event to the changed screen.

The session is the page's finished example, so no model is loaded. Times are the browser's own: from the event's
time stamp to the second frame after the page says that it shows another choice.
"""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import Page, sync_playwright

from benchmarks.clicks import KINDS, Click
from inference.in_process import InProcessEngine
from inference.settings import Settings
from viz.overlay import COLORMAPS
from viz.serve import build_asgi

CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_NAMES = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")

_WATCH = """() => {
  const stage = document.querySelector("#lav-stage");
  window.clicks = [];
  let begun = 0;
  for (const kind of ["click", "change", "keydown"])
    document.addEventListener(kind, (event) => { begun = event.timeStamp; }, { capture: true });
  const painted = () => requestAnimationFrame(() => requestAnimationFrame(() => {
    window.clicks.push(performance.now() - begun);
  }));
  new MutationObserver(painted).observe(stage, { attributeFilter: ["data-count"] });
}"""


def click_page(name: str, folder: Path, *, repeats: int) -> list[Click]:
    """Every kind of click in turn on the session in this folder, which is named as the page's finished one is."""
    with _served(folder) as address, sync_playwright() as playwright:
        path = next(found for found in map(shutil.which, _NAMES) if found)
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(address)
        page.wait_for_function("Number(document.querySelector('#lav-stage')?.dataset.count) > 0")
        page.evaluate(_WATCH)
        clicks = [Click(kind, name, _click(page, kind, turn)) for turn in range(repeats) for kind in KINDS]
        browser.close()
    return clicks


def _click(page: Page, kind: str, turn: int) -> float:
    """Does what a person would, each turn on another place, and gives the time that it took."""
    before = page.evaluate("window.clicks.length")
    if kind == "token":
        tokens = page.locator("#lav-stage .lav-row:nth-child(1) [role=option]")
        tokens.nth((3 * turn + 1) % tokens.count()).click()
    elif kind == "layer":
        layers = page.locator("#lav-stage .lav-layer")
        layers.nth((5 * turn + 2) % layers.count()).click()
    elif kind == "head":
        chart = page.locator("#lav-stage .lav-chart canvas").first
        box = chart.bounding_box() or {"width": 1, "height": 1}
        x, y = (0.37 * turn) % 1, (0.23 * turn) % 1
        chart.click(position={"x": 1 + x * (box["width"] - 2), "y": 1 + y * (box["height"] - 2)})
    elif kind == "variant":
        page.locator("#lav-stage .lav-row:nth-child(2) input[type=checkbox]").click()
    else:
        page.locator('#lav-stage [data-set="colormap"]').select_option(list(COLORMAPS)[(turn + 1) % len(COLORMAPS)])
    page.wait_for_function("before => window.clicks.length > before", arg=before)
    taken = page.evaluate("window.clicks.at(-1)")
    return float(taken)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The address of the page with the session of this folder open."""
    settings = Settings()
    app = build_asgi(InProcessEngine(settings), settings, examples=folder.parent)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, name="page")
    thread.start()
    try:
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
