"""The edge between Gradio and strangers: which files may come in, and which texts of errors may go out.

Every listener and endpoint of the page passes here, so a mistake in one of them shows a visitor neither a stack trace
nor a bare "Error". Knows no session and no engine.
"""

import logging
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from inference.errors import PictureError, VisualizerError

log = logging.getLogger(__name__)

UNFORESEEN = "Something went wrong on the server and was logged there: try again, and tell its owner if it stays."


class Page(gr.Blocks):  # type: ignore[misc]  # gradio is untyped here
    """Blocks that fetch no address for a visitor, and tell only what is meant for their eyes."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **named: Any) -> Any:
        """Refuses files that were not uploaded here, before Gradio would fetch or read them."""
        check_uploads(inputs)
        return await super().preprocess_data(block_fn, inputs, *rest, **named)

    async def process_api(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """What Gradio does for every event, with errors turned into one sentence."""
        try:
            result: dict[str, Any] = await super().process_api(*arguments, **named)
        except Exception as error:
            raise gr.Error(sentence(error), print_exception=False) from error
        return result


def sentence(error: Exception) -> str:
    """What a visitor may read of an error; an unforeseen one is logged and told in general words."""
    if isinstance(error, VisualizerError):
        return str(error)
    if isinstance(error, gr.Error):
        return str(error.message)
    log.error("unforeseen error", exc_info=error)
    return UNFORESEEN


def check_uploads(value: Any) -> None:
    """Goes through what a visitor sent, lists and dicts and all.

    A mounted page is not "launched", and then Gradio itself checks no path and fetches what looks like an address.

    Raises:
        PictureError: something in it names a file that is not in the folder of uploads.
    """
    if isinstance(value, dict):
        if "path" in value:
            _check_path(value["path"])
        for each in value.values():
            check_uploads(each)
    elif isinstance(value, list | tuple):
        for each in value:
            check_uploads(each)


def _check_path(path: object) -> None:
    folder = Path(get_upload_folder()).resolve()
    if not isinstance(path, str) or "\0" in path or not Path(path).resolve().is_relative_to(folder):
        raise PictureError("an uploaded file", "a path or an address", "upload the file itself")
