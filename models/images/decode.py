"""Bytes to an RGB image, with limits. The format is told from the bytes, never from a name or a declared type.

The one decoder of service, jobs, training and probes. Whatever Pillow raises on a file is `BrokenImageError`.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from models.errors import BrokenImageError, ImageBytesError, ImagePixelsError, NotAnImageError
from models.images.headers.base import HeavyImage
from models.images.headers.table import read_header
from models.images.upright import LEFT_IS_LAST, SIDEWAYS, TOP_IS_LAST, orientation_of, upright_rgb

PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
"""Pillow's class for each format. `Image.open` would check the process-wide `Image.MAX_IMAGE_PIXELS` instead of our limits.

Of an animation the first frame is taken, of a TIFF the first page.
"""

FORMATS = tuple(PLUGINS)

MAX_SIDE = 65_535
"""Longest side of an image: JPEG's own limit."""

MAX_MASK_SIDE = 4096
"""Longest side of a mask in pixels: far finer than any grid."""

HEAD_BYTES = 16
"""How many bytes `image_format` needs."""

_MAGIC = tuple(
    (name, re.compile(magic, re.DOTALL))
    for name, magic in (
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("WEBP", rb"RIFF....WEBP"),
        ("BMP", rb"BM"),
        ("GIF", rb"GIF8[79]a"),
        ("TIFF", rb"II[*+]\0|MM\0[*+]|II\0\*|MM\*\0"),
    )
)


class DecodeLimits(NamedTuple):
    """The largest image that is decoded: bytes of the file, and pixels, which its header states.

    With `light` an image whose header says that it costs much raises `HeavyImage` instead of being decoded.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    light: bool = False


LOCAL_LIMITS = DecodeLimits(max_bytes=2**31, max_pixels=500_000_000)
"""For files that the user chose: what memory can hold.

Pillow's WebP and TIFF readers allow 2 * `PIL.Image.MAX_IMAGE_PIXELS` (179 million) at most, unless the program changes that.
"""


def configure_pillow() -> None:
    """For the whole process: our limits decide in every format, and Pillow's remarks on metadata are not shown.

    Programs call it once at their start; importing this module changes nothing.
    """
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module=r"PIL\..*")


def image_format(head: bytes) -> str | None:
    """The name of the format that a file begins like, from its first `HEAD_BYTES` bytes; None where it is not a known image."""
    return next((name for name, magic in _MAGIC if magic.match(head)), None)


class Decoded(NamedTuple):
    """An image as it is meant to be seen, in RGB, and the size (width, height) that it has in full.

    Where it was decoded at a smaller scale, the full image is the part `box` (left, top, right, bottom) of it: a side that is
    not a multiple of the scale ends within a pixel.
    """

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]


def decode(data: bytes, limits: DecodeLimits = DecodeLimits()) -> Image.Image:  # noqa: B008 -- an immutable record
    """The image as it is meant to be seen, in RGB.

    Raises:
        ImageBytesError: more bytes than allowed.
        NotAnImageError: no format on the list.
        ImagePixelsError: more pixels than allowed, read from the header.
        BrokenImageError: a known format that cannot be decoded.
        HeavyImage: see `DecodeLimits`.
    """
    image = _open_within(data, limits)
    with _translated(image):
        return upright_rgb(image)


def decode_scaled(
    data: bytes,
    scale_of: Callable[[tuple[int, int]], int],
    limits: DecodeLimits = DecodeLimits(),  # noqa: B008
) -> Decoded:
    """Like `decode`, but a JPEG at 1/2, 1/4 or 1/8 of its size where `scale_of` its size (width, height) is 2, 4 or 8.

    libjpeg computes fewer pixels from each 8x8 block then. The limits are on the full size. Other formats, and JPEGs that cannot
    be decoded at a smaller scale (lossless ones), are decoded in full.

    Raises:
        ImageError: see `decode`.
    """
    image = _open_within(data, limits, scale_of)
    with _translated(image):
        if image.format == "JPEG" and (decoded := _decode_jpeg_scaled(data, image, scale_of)):
            return decoded
        rgb = upright_rgb(image)
    return Decoded(rgb, rgb.size, (0.0, 0.0, float(rgb.width), float(rgb.height)))


def _decode_jpeg_scaled(data: bytes, image: Image.Image, scale_of: Callable[[tuple[int, int]], int]) -> Decoded | None:
    """A JPEG, opened as `image`, at the scale that is asked for; None where that is 1 or fails."""
    orientation = orientation_of(image)
    size = image.size[::-1] if orientation in SIDEWAYS else image.size
    scale = scale_of(size)
    if scale == 1:
        return None
    small = _open(data, "JPEG")
    small.draft(None, (image.width // scale, image.height // scale))
    try:
        small.load()
    except Exception:  # noqa: BLE001 -- decoding it in full says what is wrong
        return None
    rgb = upright_rgb(small)
    width, height = size[0] / scale, size[1] / scale
    left = rgb.width - width if orientation in LEFT_IS_LAST else 0.0
    top = rgb.height - height if orientation in TOP_IS_LAST else 0.0
    return Decoded(rgb, size, (left, top, left + width, top + height))


def decode_mask(data: bytes, light: bool = False) -> Bool[np.ndarray, "mh mw"]:
    """A PNG as booleans: a pixel is set where any channel but alpha is not zero.

    Raises:
        ImagePixelsError: a side longer than `MAX_MASK_SIDE`.
        NotAnImageError, BrokenImageError: not a PNG, or one that cannot be decoded.
        HeavyImage: see `DecodeLimits`, of which `light` is one.
    """
    if image_format(data[:HEAD_BYTES]) != "PNG":
        raise NotAnImageError("not a PNG")
    header = read_header("PNG", data)
    image: Image.Image = _open(data, "PNG")
    if max(image.size) > MAX_MASK_SIDE:
        raise ImagePixelsError(
            f"a mask's side may have {MAX_MASK_SIDE:,} pixels, this one has {image.width:,} x {image.height:,}"
        )
    if light and header and header.heavy:
        raise HeavyImage(header.seconds)
    try:
        if image.mode in ("P", "PA", "LA", "RGBA"):
            image = image.convert("RGB")
        pixels = np.asarray(image)
    except Exception as error:
        raise BrokenImageError(f"this PNG cannot be decoded: {_reason(error)}") from error
    return (pixels if pixels.ndim == 2 else pixels[..., 0] | pixels[..., 1] | pixels[..., 2]) != 0


def check_bytes(data: bytes, limits: DecodeLimits) -> None:
    """Refuse a file that is too large.

    Raises:
        ImageBytesError: more bytes than allowed.
    """
    if len(data) > limits.max_bytes:
        raise ImageBytesError(f"an image may have {limits.max_bytes:,} bytes, this one has {len(data):,}")


def _open_within(
    data: bytes, limits: DecodeLimits, scale_of: Callable[[tuple[int, int]], int] | None = None
) -> ImageFile.ImageFile:
    """The file with its header read, within the limits.

    The size is checked before Pillow sees the file: some of its readers take memory for the image when they are opened.

    Raises:
        ImageError, HeavyImage: see `decode`.
    """
    check_bytes(data, limits)
    name = _known_format(data)
    header = read_header(name, data, scale_of if limits.light else None)  # else its cost does not matter
    if header is not None:
        _check_pixels(*header.size, limits)
        if header.tile[0] * header.tile[1] > limits.max_pixels:
            raise ImagePixelsError(
                f"an image may have {limits.max_pixels:,} pixels, a tile of this {name} has "
                f"{header.tile[0]} x {header.tile[1]} = {header.tile[0] * header.tile[1]:,}"
            )
        if limits.light and header.heavy:
            raise HeavyImage(header.seconds)
    image = _open(data, name)
    _check_pixels(*image.size, limits)
    if not image.width * image.height:
        raise BrokenImageError(f"this {name} has {image.width} x {image.height} pixels")
    return image


def _check_pixels(width: int, height: int, limits: DecodeLimits) -> None:
    if width * height > limits.max_pixels or max(width, height) > MAX_SIDE:
        raise ImagePixelsError(
            f"an image may have {limits.max_pixels:,} pixels and sides of {MAX_SIDE:,}, "
            f"this one has {width} x {height} = {width * height:,}"
        )


def _known_format(data: bytes) -> str:
    """The name of the file's format.

    Raises:
        NotAnImageError: see `decode`.
    """
    name = image_format(data[:HEAD_BYTES])
    if name is None:
        found = f"the first bytes are {data[:8]!r}" if data else "there are none"
        raise NotAnImageError(f"these bytes are not an image in {', '.join(FORMATS)}: {found}")
    return name


def _open(data: bytes, name: str) -> ImageFile.ImageFile:
    """The file in the format `name` with its header read.

    Raises:
        ImagePixelsError, BrokenImageError: see `decode`.
    """
    try:
        return PLUGINS[name](io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise _pillow_limit(name, error) from error
    except Exception as error:
        raise BrokenImageError(f"this {name} is broken, its header cannot be read: {_reason(error)}") from error


@contextmanager
def _translated(image: Image.Image) -> Iterator[None]:
    """Whatever Pillow raises as one of our errors: a reader may raise anything on a broken file."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise _pillow_limit(image.format, error) from error
    except Exception as error:
        raise BrokenImageError(f"this {image.format} cannot be decoded: {_reason(error)}") from error


def _pillow_limit(name: str | None, error: Image.DecompressionBombError) -> ImagePixelsError:
    """Some of Pillow's readers check its own limit, whoever calls them."""
    return ImagePixelsError(f"this {name} is above the limit of PIL.Image.MAX_IMAGE_PIXELS: {_reason(error)}")


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    return str(error).splitlines()[0] if str(error) else f"its data is broken ({type(error).__name__})"
