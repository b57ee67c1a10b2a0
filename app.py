"""The app on Modal: images, volumes, the GPU class, the web function, one entrypoint; nothing else knows Modal.

`modal deploy app.py` puts the page on a public address; `modal run app.py` asks one question. The settings are
environment variables (`inference.settings`), read where this file is run and handed on to the containers.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import modal

from cli import ask, make_request
from inference.catalog import find_adapters
from inference.evidence.trials import Findings, Probe
from inference.in_process import InProcessEngine
from inference.protocol import Progress
from inference.remote import Lot, Piece, RemoteEngine, serve_probe, serve_run
from inference.settings import PREFIX, read_settings
from inference.trace.request import Request
from inference.trace.session import AdapterFacts

HERE = Path(__file__).parent
HOUR_S = 3600
settings = read_settings()
model = settings.model or "Qwen/Qwen3-VL-2B-Instruct"
environment = {
    **{name: value for name, value in os.environ.items() if name.startswith(PREFIX)},
    f"{PREFIX}MODEL": model,
    f"{PREFIX}ADAPTERS": "/adapters",
    "HF_HOME": "/models",
}


def make_image(*extras: str) -> modal.Image:
    """Debian with what pyproject.toml lists for these extras, and the rooms of this repository, weights included."""
    image = modal.Image.debian_slim(python_version="3.12")
    image = image.pip_install_from_pyproject(str(HERE / "pyproject.toml"), list(extras)).env(environment)
    for room in ("inference", "viz", "examples"):
        image = image.add_local_dir(HERE / room, f"/root/{room}", ignore=["**/__pycache__"])
    return image.add_local_file(HERE / "cli.py", "/root/cli.py")


app = modal.App("lora-attention-visualizer")
models = modal.Volume.from_name("lora-attention-models", create_if_missing=True)
adapters = modal.Volume.from_name("lora-attention-adapters", create_if_missing=True)


@app.cls(
    image=make_image("model"),
    gpu=settings.gpu,
    volumes={"/models": models, "/adapters": adapters},
    timeout=HOUR_S // 2,
    startup_timeout=HOUR_S // 2,  # the first start downloads the weights
    scaledown_window=HOUR_S // 12,
)
class Model:
    """One GPU, one model, one question at a time: peft's active adapter is global to the process."""

    @modal.enter()
    def load(self) -> None:
        self.engine = InProcessEngine(read_settings())
        self.engine.warm_up()

    @modal.method()
    def run(self, request: Request) -> Generator[Progress | Piece, None, None]:
        yield from serve_run(self.engine, request)

    @modal.method()
    def probe(self, probe: Probe) -> Generator[Progress | Lot | Findings, None, None]:
        yield from serve_probe(self.engine, probe)


def run_remotely(request: Request) -> Generator[Progress | Piece, None, None]:
    """The GPU class's answer to a request."""
    yield from Model().run.remote_gen(request)


def probe_remotely(probe: Probe) -> Generator[Progress | Lot | Findings, None, None]:
    """The GPU class's findings."""
    yield from Model().probe.remote_gen(probe)


def list_adapters() -> tuple[AdapterFacts, ...]:
    """What lies on the adapters' volume now."""
    adapters.reload()
    return find_adapters(Path("/adapters"))


def remote_engine() -> RemoteEngine:
    """The GPU class as the page's engine."""
    return RemoteEngine(run_remotely, probe_remotely, list_adapters, model_name=model)


# Gradio keeps its queue and sessions in one process; each open tab holds one input, two while it works.
@app.function(image=make_image("web"), volumes={"/adapters": adapters}, max_containers=1, timeout=12 * HOUR_S)
@modal.concurrent(max_inputs=200)
@modal.asgi_app()
def page() -> Any:
    from viz.serve import build_asgi  # the GPU container has no gradio

    return build_asgi(remote_engine(), read_settings())


@app.local_entrypoint()
def main(image: str, question: str, adapter: str = "", out: str = "out") -> None:
    """Asks one question; ADAPTER may name several, with commas. Writes session, pictures and summary to OUT."""
    request = make_request(Path(image), question, [name for name in adapter.split(",") if name], settings)
    ask(remote_engine(), request, Path(out))
