"""One server without a model and one browser for all tests of the page; each test has a visitor of its own."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from inference.settings import Settings
from inference.store import SessionStore
from inference.trace.files import save_session
from tests.fakes import make_picture, make_session
from tests.viz.page.engines import ChoosyEngine
from viz.serve import TellingServer, build_asgi

STAGE = ".lav-stage"
Made = TypeVar("Made")


@dataclass(frozen=True)
class Served:
    """A running page and what stands behind it."""

    url: str
    engine: ChoosyEngine
    store: SessionStore
    page: Any
    """The Blocks, to fill their queue."""
    root: Path
    """The store's folder."""

    def files(self) -> set[str]:
        """Names of the sessions that are kept, being written or being removed."""
        return {path.name for path in self.root.iterdir()}


def in_loop(build: Callable[[], Made]) -> Made:
    """What `build` makes, inside a running event loop: outside of one Gradio makes loops and never closes them.

    In a thread of its own, since Playwright keeps a loop running in this one.
    """

    async def run() -> Made:
        return build()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()


def make_examples(folder: Path) -> Path:
    """A folder like `examples`: a picture with a question, and a finished session of a made engine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.png").write_bytes(make_picture(64, 96).png)
    (folder / "examples.json").write_text(
        '[{"picture": "one.png", "swap": "one.png", "title": "one", "question": "What is it?",'
        ' "shows": "A red square.", "variants": ["base", "other@0.5"]}]',
        encoding="utf-8",
    )
    save_session(make_session(), folder / "finished")
    return folder


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engine, settings = ChoosyEngine(), Settings(upload_mb=2)
    root = tmp_path_factory.mktemp("store")
    store = SessionStore(root, hours=1, gigabytes=1)
    examples = make_examples(tmp_path_factory.mktemp("examples"))
    app: Any = in_loop(lambda: build_asgi(engine, settings, examples=examples, store=store))
    server = TellingServer(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.address and thread.is_alive():
        thread.join(0.02)
    page = next(
        route.app.get_blocks() for route in app.app.app.routes if hasattr(getattr(route, "app", None), "get_blocks")
    )
    yield Served(server.address, engine, store, page, root)
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, "these tests need Chromium: set CHROMIUM to its path"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def soon(holds: Callable[[], bool]) -> bool:
    """Whether it holds within ten seconds; what the server does after its answer takes a moment."""
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


class Desk:
    """A visitor's tab: what they do, and what went wrong in the browser meanwhile."""

    def __init__(self, page: Page, served: Served) -> None:
        self.page = page
        self.served = served
        self.wrong: list[str] = []
        self.elsewhere: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.served.url, "data:", "blob:")):
            self.elsewhere.append(url)

    def open(self, query: str = "") -> "Desk":
        """Opens the page and waits for the finished example."""
        self.page.goto(self.served.url + query)
        self.settle(0)
        return self

    @property
    def count(self) -> int:
        """How many looks the stage has shown so far."""
        return int(self.page.get_attribute(STAGE, "data-count") or 0)

    def settle(self, before: int) -> None:
        """Waits until the stage shows something newer than at `before`."""
        self.page.wait_for_function(
            "before => Number(document.querySelector('.lav-stage')?.dataset.count || 0) > before", arg=before
        )

    def doing(self, act: Callable[[], Any]) -> None:
        """Does something that changes what the stage shows, and waits for it."""
        before = self.count
        act()
        self.settle(before)

    def shown(self, name: str) -> str:
        """What the stage says it shows: session, token, token-to, layer or head."""
        return self.page.get_attribute(STAGE, f"data-{name}") or ""

    def put_picture(self, path: Path, where: str = "#lav-picture") -> None:
        self.page.set_input_files(f"{where} input[type=file]", path)
        self.page.wait_for_function("document.querySelector('.lav-status').textContent.length > 3")

    def fill(self, picture: Path, question: str) -> None:
        self.put_picture(picture)
        self.page.fill("#lav-question textarea", question)

    def ask(self, picture: Path, question: str) -> None:
        """Fills in, asks and waits for the answer."""
        self.fill(picture, question)
        self.doing(lambda: self.page.click("#lav-ask"))

    def status(self) -> str:
        return self.page.inner_text(".lav-status")

    def wait_status(self, part: str) -> None:
        self.page.wait_for_function(
            "part => document.querySelector('.lav-status').textContent.includes(part)", arg=part
        )


@pytest.fixture(scope="package")
def shared(browser: Browser) -> Iterator[BrowserContext]:
    """One profile, so that Gradio's scripts are read from its cache; each page in it is a visitor of its own."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def visit(browser: Browser, shared: BrowserContext, served: Served) -> Iterator[Callable[..., Desk]]:
    """Opens the page as a new visitor; options are those of a browser context of its own."""
    contexts: list[BrowserContext] = []
    pages: list[Page] = []

    def opened(query: str = "", **options: Any) -> Desk:
        context = shared
        if options:
            context = browser.new_context(**options)
            context.set_default_timeout(20_000)
            contexts.append(context)
        pages.append(context.new_page())
        return Desk(pages[-1], served).open(query)

    yield opened
    for page in pages:
        page.close()
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    path.write_bytes(make_picture().png)
    return path


@pytest.fixture(scope="session")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG that a camera held upright: 40 x 60 px as stored, 60 x 40 as meant."""
    path = tmp_path_factory.mktemp("pictures") / "camera.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 60), "red").save(path, exif=exif)
    return path
