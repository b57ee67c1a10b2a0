"""What the vision tower is given: pictures resized once, by qwen_vl_utils, as training code does it.

Opens decoded bytes of `inference.intake` alone, never an address or a path. Knows no prompt and no attention.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from qwen_vl_utils import process_vision_info
from qwen_vl_utils.vision_process import SPATIAL_MERGE_SIZE, smart_resize

from inference.errors import ModelError, PictureError, SettingsError
from inference.model.load import LoadedModel
from inference.trace.request import Picture


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest area of a resized picture, in pixels."""

    min_pixels: int
    max_pixels: int


@dataclass(frozen=True)
class Pixels:
    """All pictures of a request as the model takes them; `grid_thw` counts patches before merging."""

    values: Float[torch.Tensor, "patches channels"]
    grid_thw: Int[torch.Tensor, "images 3"]
    resized_whs: tuple[tuple[int, int], ...]

    def grids(self) -> Int[np.ndarray, "images 3"]:
        return np.asarray(self.grid_thw.cpu().numpy())

    def token_counts(self, merge: int) -> list[int]:
        """How many vision tokens each picture becomes."""
        return [int(count) // merge**2 for count in self.grids().prod(-1)]


def choose_bounds(loaded: LoadedModel, wanted: tuple[int | None, int | None], owner: Bounds | None = None) -> Bounds:
    """The request's bounds where it has some, else the owner's, else the processor's own.

    Raises:
        SettingsError: more than the owner allows, or a smallest area above the largest.
    """
    size = loaded.processor.image_processor.size
    default = owner or Bounds(size["shortest_edge"], size["longest_edge"])
    most = wanted[1] if wanted[1] is not None else default.max_pixels
    least = wanted[0] if wanted[0] is not None else min(default.min_pixels, most)
    if owner and most > owner.max_pixels:
        raise SettingsError(f"max_pixels of at most {owner.max_pixels:,}", f"{most:,}", "choose a smaller value")
    if least > most:
        raise SettingsError(
            "min_pixels below max_pixels", f"{least:,} and {most:,}", "set both, or leave the processor's own"
        )
    return Bounds(least, most)


def prepare_pictures(loaded: LoadedModel, pictures: Sequence[Picture], bounds: Bounds) -> Pixels | None:
    """The pictures resized within the bounds, each with its own aspect ratio; None if there are none.

    Raises:
        PictureError: a picture too long and thin for the model, or not readable.
    """
    if not pictures:
        return None
    _check_merge(loaded)
    cell_px = loaded.vision_config.patch_size * SPATIAL_MERGE_SIZE
    return prepare_images(loaded, [_open(picture, cell_px, bounds) for picture in pictures], bounds)


def prepare_images(loaded: LoadedModel, images: Sequence[Image.Image], bounds: Bounds) -> Pixels:
    """Decoded pictures, at least one, that are known to fit, resized within the bounds."""
    parts = [
        {"type": "image", "image": image, "min_pixels": bounds.min_pixels, "max_pixels": bounds.max_pixels}
        for image in images
    ]
    resized, _ = process_vision_info(
        [{"role": "user", "content": parts}], image_patch_size=loaded.vision_config.patch_size
    )
    batch = loaded.processor.image_processor(images=resized, do_resize=False, return_tensors="pt")
    return Pixels(
        batch["pixel_values"].to(loaded.device),
        batch["image_grid_thw"].to(loaded.device),
        tuple(image.size for image in resized),
    )


def _open(picture: Picture, cell_px: int, bounds: Bounds) -> Image.Image:
    try:
        with Image.open(io.BytesIO(picture.png)) as image:
            decoded = image.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise PictureError("a picture that can be read", picture.name, "save it again as PNG or JPEG") from error
    _check_shape(decoded.size, cell_px, bounds, picture.name)
    return decoded


def _check_shape(wh: tuple[int, int], cell_px: int, bounds: Bounds, name: str) -> None:
    width, height = wh
    try:
        fitted = smart_resize(height, width, cell_px, bounds.min_pixels, bounds.max_pixels)
    except ValueError as error:
        raise PictureError(
            "a picture at most 200 times as long as wide", f"{name} with {width} x {height} px", "crop it"
        ) from error
    if min(fitted) < cell_px:
        raise PictureError(
            f"a picture with sides of at least {cell_px} px after resizing to {bounds.max_pixels:,} pixels",
            f"{name} with {width} x {height} px",
            "crop it, or allow more pixels",
        )


def _check_merge(loaded: LoadedModel) -> None:
    merge = loaded.vision_config.spatial_merge_size
    if merge != SPATIAL_MERGE_SIZE:
        raise ModelError(
            f"a model that merges {SPATIAL_MERGE_SIZE} x {SPATIAL_MERGE_SIZE} patches, as qwen_vl_utils resizes for",
            f"{loaded.name} with {merge} x {merge}",
            "choose a released Qwen3-VL model",
        )
