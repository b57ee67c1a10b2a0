"""What strangers upload: right, upright and 8-bit RGB, or refused with one sentence."""

import ast
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from inference import intake
from inference.errors import PictureError
from inference.intake import picture_from_array, read_picture
from inference.trace.request import Picture

WIDTH, HEIGHT = 13, 7
LIMIT = 50.0


def pattern() -> Image.Image:
    """A picture that no turn and no mirror maps on itself: red top left, blue top right, green bottom left."""
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    pixels[:3, :3], pixels[:3, -3:], pixels[-3:, :3] = (255, 0, 0), (0, 0, 255), (0, 255, 0)
    return Image.fromarray(pixels)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, name: str = "made.png", megapixels: float = LIMIT) -> Picture:
    return read_picture(data, name=name, megapixels=megapixels)


def pixels_of(picture: Picture) -> np.ndarray:
    image = Image.open(io.BytesIO(picture.png))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (picture.width, picture.height))
    return np.asarray(image)


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


LOSSLESS: dict[str, dict[str, object]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_lossless_format_arrives_exactly(kind: str) -> None:
    picture = read(encode(pattern(), kind, **LOSSLESS[kind]))
    np.testing.assert_array_equal(pixels_of(picture), np.asarray(pattern()))
    assert picture.notes == ()


def test_a_jpeg_and_a_gif_arrive() -> None:
    for kind in ("JPEG", "GIF"):
        found = pixels_of(read(encode(pattern().resize((130, 70), 0), kind)))
        np.testing.assert_allclose(found[15, 15].astype(int), [255, 0, 0], atol=20)


def test_a_file_is_read_from_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "0f3a.png"
    path.write_bytes(encode(pattern(), "PNG"))
    picture = read_picture(path, name="C:\\photos\\../Küche.png", megapixels=LIMIT)
    assert (picture.name, picture.width, picture.height) == ("Küche.png", WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\nb\u202e.png", "ab.png"),
        ("", "picture"),
        ("x/", "picture"),
        ("n" * 999, "n" * 80),
    ],
)
def test_a_name_is_only_its_last_part_printable_and_short(given_name: str, shown: str) -> None:
    assert read(encode(pattern(), "PNG"), name=given_name).name == shown


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_turned_picture_stands_upright(kind: str, orientation: int) -> None:
    stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](pattern().resize((WIDTH * 8, HEIGHT * 8), 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(encode(stored, kind, exif=exif))
    found = pixels_of(picture).astype(int)
    assert found.shape == (HEIGHT * 8, WIDTH * 8, 3)
    for corner, colour in (((8, 8), (255, 0, 0)), ((8, -8), (0, 0, 255)), ((-8, 8), (0, 255, 0))):
        np.testing.assert_allclose(found[corner], colour, atol=25)
    assert picture.notes == (() if orientation == 1 else ("turned upright",))


def test_damaged_exif_is_told_and_the_picture_shown_as_stored() -> None:
    data = encode(pattern(), "JPEG", exif=b"Exif\0\0not a TIFF header at all")
    picture = read(data)
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    assert picture.notes == ("as stored, since its note on which way is up could not be read",)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (9, 5), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        picture = read(data)
        np.testing.assert_allclose(pixels_of(picture)[2, 4].astype(int), [255, 0, 0], atol=5)
        assert picture.notes == ("its first frame or page",)


def test_transparent_parts_turn_white_and_are_told() -> None:
    rgba = np.zeros((5, 3, 4), np.uint8)
    rgba[0] = (10, 20, 30, 255)
    rgba[1] = (200, 0, 0, 128)
    for picture in (read(encode(Image.fromarray(rgba), "PNG")), picture_from_array(rgba, name="a", megapixels=LIMIT)):
        found = pixels_of(picture)
        assert found[0, 0].tolist() == [10, 20, 30]
        np.testing.assert_allclose(found[1, 0].astype(int), [227, 127, 127], atol=1)
        assert found[4, 2].tolist() == [255, 255, 255]
        assert picture.notes == ("transparent parts on white",)


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_note() -> None:
    picture = read(encode(pattern().convert("RGBA"), "PNG"))
    np.testing.assert_array_equal(pixels_of(picture), np.asarray(pattern()))
    assert picture.notes == ()


def test_a_palette_and_its_transparent_colour() -> None:
    palette = pattern().quantize(8)
    np.testing.assert_array_equal(pixels_of(read(encode(palette, "PNG"))), np.asarray(palette.convert("RGB")))
    red = int(np.asarray(palette)[0, 0])
    picture = read(encode(palette, "PNG", transparency=red))
    assert pixels_of(picture)[0, 0].tolist() == [255, 255, 255]
    assert pixels_of(picture)[0, -1].tolist() == np.asarray(palette.convert("RGB"))[0, -1].tolist()


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "1"), ("PNG", "L"), ("PNG", "LA"), ("TIFF", "1"), ("TIFF", "LA"), ("TIFF", "CMYK")]
)
def test_other_kinds_of_colour_look_as_they_should(kind: str, mode: str) -> None:
    image = pattern().convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(pixels_of(read(encode(image, kind))).astype(int), expected.astype(int), atol=2)


def test_cmyk_of_a_jpeg_is_not_inverted() -> None:
    picture = read(encode(pattern().resize((130, 70), 0).convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(pixels_of(picture)[15, 15].astype(int), [255, 0, 0], atol=12)
    assert picture.notes == ("printing colours (CMYK) turned into RGB",)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    deep = np.array([[0, 257, 20_000, 40_000, 65_535]], np.uint16).repeat(3, axis=0)
    for picture in (read(encode(Image.fromarray(deep), kind)), picture_from_array(deep, name="a", megapixels=LIMIT)):
        assert pixels_of(picture)[1, :, 0].tolist() == [0, 1, 78, 156, 255]
        assert picture.notes == ("16 bits scaled to 8",)


def test_floats_and_wide_integers() -> None:
    unit = picture_from_array(np.array([[0.0, 0.5, 1.0]]), name="a", megapixels=LIMIT)
    assert pixels_of(unit)[0, :, 1].tolist() == [0, 128, 255]
    wide = read(encode(Image.fromarray(np.array([[-100, 0, 155]], np.int32)), "TIFF"))
    assert pixels_of(wide)[0, :, 0].tolist() == [0, 100, 255]
    assert wide.notes == ("values from -100 to 155 spread over 8 bits",)
    flat = read(encode(Image.fromarray(np.full((2, 3), 9.5, np.float32)), "TIFF"))
    assert not pixels_of(flat).any()


def test_arrays_and_decoded_pictures_of_every_shape() -> None:
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    for pixels in (grey, grey[..., None], np.repeat(grey[..., None], 3, axis=2), Image.fromarray(grey)):
        found = pixels_of(picture_from_array(pixels, name="a", megapixels=LIMIT))
        np.testing.assert_array_equal(found[..., 2], grey)
    assert pixels_of(picture_from_array(grey > 5, name="a", megapixels=LIMIT)).max() == 255


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((4, 5, 2), np.uint8), r"shape \(4, 5, 2\)"),
        (np.zeros(9, np.uint8), r"shape \(9,\)"),
        (np.zeros((0, 5), np.uint8), r"shape \(0, 5\)"),
        (np.array([[0.0, np.nan]]), "finite numbers"),
        (np.array([["a", "b"]]), "finite numbers"),
        (np.zeros((10, 4000), np.uint8), "4,000 x 10 px"),
        (Image.new("L", (4000, 10)), "4,000 x 10 px"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(pixels: np.ndarray | Image.Image, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        picture_from_array(pixels, name="a", megapixels=LIMIT)


def test_the_file_keeps_its_place_and_comments_to_itself() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    data = encode(pattern(), "JPEG", exif=exif, comment=b"secret comment", icc_profile=b"secret profile")
    assert b"secret" in data and b"secret" not in read(data).png


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "got an empty file named made.png", id="empty"),
        pytest.param(b"hello, world\n", "got a text file named made.png", id="text"),
        pytest.param(b"https://example.org/cat.png", "got a text file", id="address"),
        pytest.param(b"file:///etc/passwd", "got a text file", id="file address"),
        pytest.param(b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "got an SVG drawing", id="svg"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3", "got a PDF file", id="pdf"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0\x80", "got a HEIC, AVIF or video file", id="heic"),
        pytest.param(b"\x93NUMPY\x01\0v\0", "got another kind of file", id="npy"),
        pytest.param(b"\0" * 64, "got another kind of file", id="zeros"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "damaged file made.png", id="signature alone"),
        pytest.param(b"\xff\xd8\xff\xe0", "damaged file made.png", id="jpeg signature alone"),
        pytest.param(png_header(WIDTH, HEIGHT), "damaged file made.png", id="no pixels"),
        pytest.param(encode(pattern().resize((400, 300)), "JPEG")[:2000], "damaged file", id="truncated jpeg"),
        pytest.param(encode(pattern().resize((400, 300)), "PNG")[:-400], "damaged file", id="truncated png"),
        pytest.param(encode(pattern().resize((400, 300)), "WEBP")[:-300], "damaged file", id="truncated webp"),
        pytest.param(encode(Image.new("L", (4000, 10)), "PNG"), "4,000 x 10 px", id="4000 x 10"),
        pytest.param(encode(Image.new("L", (3, 601)), "PNG"), "3 x 601 px", id="3 x 601"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(data: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        read(data)
    assert str(caught.value).count(".") <= 4 and "\n" not in str(caught.value)


def test_one_pixel_is_a_picture_and_so_is_the_longest_strip() -> None:
    assert pixels_of(read(encode(Image.new("RGB", (1, 1), "red"), "PNG"))).tolist() == [[[255, 0, 0]]]
    assert read(encode(Image.new("L", (200, 1)), "PNG")).width == 200


def test_a_missing_file_is_refused_without_telling_where_it_was_sought(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(PictureError, match=r"no readable file cat\.png") as caught:
            read_picture(path, name="cat.png", megapixels=LIMIT)
        assert str(tmp_path) not in str(caught.value)


def webp_header(side: int) -> bytes:
    body = bytearray(encode(Image.new("RGB", (8, 8)), "WEBP", lossless=True))
    bits = struct.unpack("<I", body[21:25])[0]
    body[21:25] = struct.pack("<I", bits & ~0xFFFFFFF | (side - 1) | (side - 1) << 14)
    return bytes(body)


def huge(kind: str) -> bytes:
    """A file of a few bytes that claims a huge picture."""
    if kind == "PNG":
        return png_header(20_000, 20_000)
    if kind == "WEBP":
        return webp_header(16_000)
    data = bytearray(encode(Image.new("RGB", (8, 8)), kind))
    if kind == "GIF":
        data[6:10] = struct.pack("<HH", 20_000, 20_000)
    elif kind == "BMP":
        data[18:26] = struct.pack("<II", 20_000, 20_000)
    else:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", 20_000, 20_000)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_huge_picture_is_refused_by_its_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    before = Image.MAX_IMAGE_PIXELS
    side = "16,000 x 16,000" if kind == "WEBP" else "20,000 x 20,000"
    with pytest.raises(PictureError, match=f"at most 50 megapixels, got {side} px"):
        read(huge(kind))
    assert before == Image.MAX_IMAGE_PIXELS


def test_an_owner_may_allow_more_than_pillow_does_by_itself() -> None:
    with pytest.raises(PictureError, match="damaged"):
        read(png_header(14_000, 14_000, depth=1, colour=0), megapixels=200)


def test_a_gif_whose_frame_outgrows_its_canvas_is_refused() -> None:
    data = bytearray(encode(Image.new("P", (8, 8)), "GIF"))
    frame = data.index(b",\0\0\0\0", 13)
    data[frame + 5 : frame + 9] = struct.pack("<HH", 20_000, 20_000)
    with pytest.raises(PictureError, match="megapixels"):
        read(bytes(data))


SEEDS: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encode(pattern().quantize(8), "PNG"),
    "JPEG": lambda: encode(pattern(), "JPEG"),
    "WEBP": lambda: encode(pattern(), "WEBP"),
    "GIF": lambda: encode(pattern(), "GIF", save_all=True, append_images=[pattern().rotate(180)]),
    "BMP": lambda: encode(pattern(), "BMP"),
    "TIFF": lambda: encode(pattern(), "TIFF"),
}


# Pillow warns of damaged metadata; what counts here is that nothing but PictureError comes out.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=150)
@given(data=st.data())
def test_damage_of_any_kind_gives_a_picture_or_one_sentence(kind: str, data: st.DataObject) -> None:
    whole = bytearray(SEEDS[kind]())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        picture = read(damaged, megapixels=1)
    except PictureError as error:
        assert str(error).startswith("Expected ") and "\n" not in str(error)
    else:
        assert pixels_of(picture).shape == (picture.height, picture.width, 3)


def test_nothing_here_can_reach_for_an_address() -> None:
    tree = ast.parse(Path(intake.__file__).read_text())
    modules = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} == {
        "PIL", "dataclasses", "inference", "io", "jaxtyping", "numpy", "pathlib", "struct", "zlib",
    }  # fmt: skip


def test_the_longest_strip_is_what_qwen_allows() -> None:
    from qwen_vl_utils import vision_process

    assert intake.MAX_ASPECT == vision_process.MAX_RATIO
    assert min(vision_process.smart_resize(1, 1, factor=32)) == 64
    assert vision_process.smart_resize(1, 200, factor=32)
    with pytest.raises(ValueError, match="aspect ratio"):
        vision_process.smart_resize(10, 4000, factor=32)
