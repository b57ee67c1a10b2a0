"""The edge between Gradio and strangers: which files may come in, and which texts of errors may go out.

Every listener and endpoint of the page passes here, so a mistake in one of them shows a visitor neither a stack trace
nor a bare "Error". Knows no session and no engine.
"""

import logging
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from inference.errors import PictureError, VisualizerError

log = logging.getLogger(__name__)

UNFORESEEN = "Something went wrong on the server and was logged there: try again, and tell its owner if it stays."


class Page(gr.Blocks):  # type: ignore[misc]  # gradio is untyped here
    """Blocks that fetch no address for a visitor, and tell only what is meant for their eyes."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *rest: Any, **named: Any) -> Any:
        """Refuses files that are addresses, before Gradio would fetch them."""
        refuse_addresses(inputs)
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


def refuse_addresses(value: Any) -> None:
    """Goes through what a visitor sent, lists and dicts and all.

    Raises:
        PictureError: a file in it is given by a network or file address.
    """
    if isinstance(value, dict):
        if "meta" in value or "path" in value:
            for key in ("path", "url"):
                _refuse_address(value.get(key), key)
        for each in value.values():
            refuse_addresses(each)
    elif isinstance(value, list | tuple):
        for each in value:
            refuse_addresses(each)


def _refuse_address(address: object, key: str) -> None:
    # The browser sends each upload's own address back as `url`, which nobody fetches; as `path` it would be.
    scheme = urlsplit(address).scheme.lower() if isinstance(address, str) else ""
    if len(scheme) > 1 and (key == "path" or scheme == "data"):
        raise PictureError("an uploaded file", f"an address that begins with {scheme}:", "upload the file itself")
