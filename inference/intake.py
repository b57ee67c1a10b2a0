"""Pictures from strangers, checked before anything else reads them; what leaves here is upright 8-bit RGB.

The size is read from the header and refused before a pixel is decoded. The original bytes go no further: what is kept
is encoded anew, without the place, camera and text that files carry. Takes bytes, arrays and paths of files that this
program or its owner put there; a visitor's text is never opened as a path nor fetched as an address. Knows no torch.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from inference.errors import PictureError
from inference.trace.request import Picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_ASPECT = 200
"""Longest side over shortest. Source: MAX_RATIO of qwen_vl_utils.vision_process, which refuses what lies above."""

MAX_MEGAPIXELS = 200
"""What no owner of an installation can go beyond."""

_SIGNATURES: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"\xff\xd8\xff", JpegImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
)
# What Pillow's readers raise for bytes that break their format's rules.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
_ORIENTATION_TAG = 0x0112
_CHOOSE_ANOTHER = "choose another picture, or save it again as PNG or JPEG"
_KINDS = ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]}"


@dataclass(frozen=True)
class _Opened:
    """A decoded picture on its way to RGB, with what was done to it so far."""

    image: Image.Image
    notes: tuple[str, ...] = ()


def read_picture(source: bytes | Path, *, name: str, megapixels: float) -> Picture:
    """The picture in a file's bytes, or in a file; `name` is what the visitor called it and is only shown.

    Of an animation the first frame; turned upright; transparent parts on white; deep colours scaled to 8 bits.

    Raises:
        PictureError: not a picture of `FORMATS`, damaged, larger than `megapixels`, or longer than `MAX_ASPECT`.
    """
    shown = _shown_name(name)
    data = source if isinstance(source, bytes) else _read_file(source, shown)
    try:
        with _reader(data, shown)(io.BytesIO(data)) as image:
            _check_size(image.size, megapixels)
            return _finish(_decode(image), shown)
    except Image.DecompressionBombError as error:
        raise PictureError(f"at most {megapixels:g} megapixels", "far more", "make the picture smaller") from error
    except _BROKEN as error:
        raise PictureError("a whole picture", f"the damaged file {shown}", _CHOOSE_ANOTHER) from error


def picture_from_array(
    pixels: Num[np.ndarray, "height width *channels"] | Image.Image, *, name: str, megapixels: float
) -> Picture:
    """The picture in an array (grey, RGB or RGBA: 8 or 16 bits, or floats of 0 to 1) or in a decoded PIL picture.

    Raises:
        PictureError: another shape or type, larger than `megapixels`, or longer than `MAX_ASPECT`.
    """
    shown = _shown_name(name)
    if isinstance(pixels, Image.Image):
        _check_size(pixels.size, megapixels)
        return _finish(_Opened(pixels), shown)  # loaded already, so nothing in it can be broken any more
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in pixels.shape:
        raise PictureError(
            "an array of (height, width), or with 1, 3 or 4 channels", f"the shape {pixels.shape}", "reshape it"
        )
    _check_size((pixels.shape[1], pixels.shape[0]), megapixels)
    return _finish(_from_numbers(pixels.squeeze(2) if pixels.ndim == 3 and channels == 1 else pixels), shown)


def check_png(png: bytes, width: int, height: int) -> None:
    """Refuses bytes that are not a whole 8-bit RGB PNG of that size, as `Picture.png` is.

    Raises:
        PictureError: something else.
    """
    expected = f"a whole RGB picture of {width} x {height} px"
    _check_size((width, height), MAX_MEGAPIXELS)
    try:
        with PngImageFile(io.BytesIO(png)) as image:
            if (image.mode, image.size) != ("RGB", (width, height)):
                raise PictureError(expected, f"one of {image.width} x {image.height} px, {image.mode}", _CHOOSE_ANOTHER)
            image.load()
    except (Image.DecompressionBombError, *_BROKEN) as error:
        raise PictureError(expected, "a damaged picture", _CHOOSE_ANOTHER) from error


def _read_file(path: Path, shown: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError("a picture", f"no readable file {shown}", "choose a file that is there") from error


def _reader(data: bytes, shown: str) -> type[ImageFile.ImageFile]:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    for signature, reader in _SIGNATURES:
        if data.startswith(signature):
            return reader
    raise PictureError(f"a picture ({_KINDS})", f"{_kind_of(data)} named {shown}", _CHOOSE_ANOTHER)


def _kind_of(data: bytes) -> str:
    """Words for a file that is no picture we read, so that the person sees which mistake it was."""
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    if data.startswith(b"%PDF"):
        return "a PDF file"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "another kind of file"
    if "<svg" in text[:4096].lower():
        return "an SVG drawing"
    return "a text file" if "\0" not in text else "another kind of file"


def _check_size(size_wh: tuple[int, int], megapixels: float) -> None:
    width, height = size_wh
    if width * height > megapixels * 1e6:
        raise PictureError(
            f"at most {megapixels:g} megapixels",
            f"{width:,} x {height:,} px ({width * height / 1e6:,.0f} megapixels)",
            "make the picture smaller",
        )
    if max(size_wh) > MAX_ASPECT * min(size_wh):
        raise PictureError(
            f"a picture at most {MAX_ASPECT} times as long as it is wide",
            f"{width:,} x {height:,} px",
            "cut a piece out of it",
        )


def _decode(image: ImageFile.ImageFile) -> _Opened:
    """The first frame, upright."""
    notes = ["its first frame or page"] if getattr(image, "is_animated", False) else []
    told = _orientation(image)
    image.load()
    # A PNG may tell its orientation only after its pixels, and a TIFF is turned by Pillow while it loads.
    remaining = _orientation(image)
    upright: Image.Image = image
    for turn in _UPRIGHT.get(remaining or 1, ()):
        upright = upright.transpose(turn)
    if None in (told, remaining):
        notes.append("as stored, since its note on which way is up could not be read")
    elif {told, remaining} & set(_UPRIGHT):
        notes.append("turned upright")
    return _Opened(upright, tuple(notes))


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, 1 where it tells none; None where the EXIF data are damaged."""
    try:
        exif = image.getexif()
    except _BROKEN:
        return None
    # Pillow may have met the damage before, while opening; then it hands out nothing of what is there.
    value = exif.get(_ORIENTATION_TAG, 1) if exif or not image.info.get("exif") else None
    return value if isinstance(value, int) else None


def _finish(opened: _Opened, shown: str) -> Picture:
    rgb = _to_rgb(opened)
    buffer = io.BytesIO()
    # A fresh image carries no colour profile, place or comment over from the file. The lightest compression is several
    # times quicker than the default for a photo, and only this program reads it again.
    Image.fromarray(np.asarray(rgb.image)).save(buffer, "PNG", compress_level=1)
    return Picture(buffer.getvalue(), rgb.image.width, rgb.image.height, shown, rgb.notes)


def _to_rgb(opened: _Opened) -> _Opened:
    image, notes = opened.image, opened.notes
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        deep = _from_numbers(np.asarray(image))
        image, notes = deep.image, notes + deep.notes
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] == 255:
            return _Opened(rgba.convert("RGB"), notes)
        white = Image.new("RGBA", rgba.size, "white")
        return _Opened(Image.alpha_composite(white, rgba).convert("RGB"), (*notes, "transparent parts on white"))
    if image.mode == "CMYK":
        notes = (*notes, "printing colours (CMYK) turned into RGB")
    return _Opened(image.convert("RGB"), notes)


def _from_numbers(values: Num[np.ndarray, "height width *channels"]) -> _Opened:
    """8-bit values as they are; 16 bits and floats of 0 to 1 scaled to 8; others spread between their extremes."""
    if values.dtype == np.bool_:
        return _Opened(Image.fromarray(values.astype(np.uint8) * 255))
    if values.dtype == np.uint8:
        return _Opened(Image.fromarray(values))
    if values.dtype.kind not in "uif" or not np.isfinite(values).all():
        raise PictureError("finite numbers as pixels", f"{values.dtype} with others", _CHOOSE_ANOTHER)
    low, high = float(values.min()), float(values.max())
    full = 1.0 if values.dtype.kind == "f" else 65535.0
    note = "floats scaled to 8 bits" if values.dtype.kind == "f" else "16 bits scaled to 8"
    if low < 0 or high > full:
        note = f"values from {low:g} to {high:g} spread over 8 bits"
    else:
        low, high = 0.0, full
    scaled: Float[np.ndarray, "height width *channels"] = values.astype(np.float32 if low == 0 else np.float64)
    np.subtract(scaled, low, out=scaled)
    np.multiply(scaled, 255 / (high - low or 1), out=scaled)
    return _Opened(Image.fromarray(np.rint(scaled, out=scaled).astype(np.uint8)), (note,))


def _shown_name(name: str) -> str:
    """The last part of a file's name, printable and short; only ever shown."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(char for char in last if char.isprintable()).strip()[:80] or "picture"
