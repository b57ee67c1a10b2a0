"""From a request to what the model is given: pictures resized, the prompt as ids, where each picture's tokens lie."""

import numpy as np

from inference.errors import SettingsError
from inference.model.answer import Task
from inference.model.load import LoadedModel
from inference.model.pictures import Bounds, Pixels, choose_bounds, prepare_pictures
from inference.model.prompt import Prompt, build_prompt
from inference.settings import Settings
from inference.trace.geometry import find_images
from inference.trace.request import Picture, Request
from inference.trace.session import ImageSpan


def prepare(loaded: LoadedModel, settings: Settings, request: Request) -> Task:
    """What is the same for all variants of the request.

    Raises:
        VisualizerError: a picture, a question or bounds that cannot be put to this model.
    """
    wanted = (request.min_pixels, request.max_pixels)
    bounds = choose_bounds(loaded, wanted, _owner_bounds(loaded, settings))
    pixels = prepare_pictures(loaded, request.images, bounds)
    merge = loaded.vision_config.spatial_merge_size
    prompt = build_prompt(
        loaded.processor,
        question=request.question,
        system_prompt=request.system_prompt,
        tools_json=request.tools_json,
        picture_tokens=[] if pixels is None else pixels.token_counts(merge),
    )
    return Task(loaded, request, prompt, pixels, _find_images(loaded, request.images, prompt, pixels), bounds)


def check_length(loaded: LoadedModel, length: int) -> None:
    """Refuses more tokens than the model can read.

    Raises:
        SettingsError: with how many it can.
    """
    most = loaded.text_config.max_position_embeddings
    if length > most:
        raise SettingsError(
            f"at most {most:,} tokens of pictures, text and answer", f"{length:,}", "lower max_pixels or shorten it"
        )


def _owner_bounds(loaded: LoadedModel, settings: Settings) -> Bounds | None:
    least, most = settings.min_pixels, settings.max_pixels
    if least is None and most is None:
        return None
    own = choose_bounds(loaded, (None, None))
    return choose_bounds(loaded, (least, own.max_pixels if most is None else most))


def _find_images(
    loaded: LoadedModel, pictures: tuple[Picture, ...], prompt: Prompt, pixels: Pixels | None
) -> tuple[ImageSpan, ...]:
    config = loaded.model.config
    return find_images(
        np.asarray(prompt.ids),
        np.zeros((0, 3), np.int64) if pixels is None else pixels.grids(),
        merge=loaded.vision_config.spatial_merge_size,
        patch_px=loaded.vision_config.patch_size,
        vision_start_id=config.vision_start_token_id,
        vision_end_id=config.vision_end_token_id,
        image_token_id=config.image_token_id,
        original_whs=[(picture.width, picture.height) for picture in pictures],
    )
