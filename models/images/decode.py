"""Bytes to an RGB image, with limits. The format is told from the bytes, never from a name or a declared type.

The one decoder of service, jobs, training and probes. Whatever Pillow raises on a file is `BrokenImageError`.
"""

import io
import re
import warnings
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
    """The largest image that is decoded: bytes of the file, and pixels, which its header states."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


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


def decode(data: bytes, limits: DecodeLimits = DecodeLimits()) -> Image.Image:  # noqa: B008 -- an immutable record
    """The image as it is meant to be seen, in RGB.

    Raises:
        ImageBytesError: more bytes than allowed.
        NotAnImageError: no format on the list.
        ImagePixelsError: more pixels than allowed, read from the header.
        BrokenImageError: a known format that cannot be decoded.
    """
    if len(data) > limits.max_bytes:
        raise ImageBytesError(f"an image may have {limits.max_bytes:,} bytes, this one has {len(data):,}")
    image = _open(data)
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > MAX_SIDE:
        raise ImagePixelsError(
            f"an image may have {limits.max_pixels:,} pixels and sides of {MAX_SIDE:,}, "
            f"this one has {width} x {height} = {width * height:,}"
        )
    if not width * height:
        raise BrokenImageError(f"this {image.format} has {width} x {height} pixels")
    try:
        return upright_rgb(image)
    except Image.DecompressionBombError as error:
        raise _pillow_limit(image.format, error) from error
    except Exception as error:
        raise BrokenImageError(f"this {image.format} cannot be decoded: {_reason(error)}") from error


def decode_mask(data: bytes) -> Bool[np.ndarray, "mh mw"]:
    """A PNG as booleans: a pixel is set where any channel but alpha is not zero.

    Raises:
        ImagePixelsError: a side longer than `MAX_MASK_SIDE`.
        NotAnImageError, BrokenImageError: not a PNG, or one that cannot be decoded.
    """
    if image_format(data[:HEAD_BYTES]) != "PNG":
        raise NotAnImageError("not a PNG")
    image = _open(data)
    if max(image.size) > MAX_MASK_SIDE:
        raise ImagePixelsError(
            f"a mask's side may have {MAX_MASK_SIDE:,} pixels, this one has {image.width:,} x {image.height:,}"
        )
    try:
        if image.mode in ("P", "PA", "LA", "RGBA"):
            image = image.convert("RGB")
        pixels = np.asarray(image)
    except Exception as error:
        raise BrokenImageError(f"this PNG cannot be decoded: {_reason(error)}") from error
    return (pixels if pixels.ndim == 2 else pixels.max(axis=2)) != 0


def upright_rgb(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen: turned as its EXIF says, transparency over white, 16 bits scaled to 8, RGB."""
    image.load()
    if turn := _TURNS.get(_orientation(image)):
        image = image.transpose(turn)
    if image.mode.startswith("I"):  # Pillow clips 16-bit greys when it converts them; scale instead
        image = Image.fromarray((np.asarray(image, dtype=np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8. An image with unreadable metadata counts as upright."""
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 -- see `decode`; the pixels can be read all the same
        return 1
    return value if isinstance(value, int) else 1


def _open(data: bytes) -> Image.Image:
    """The file with its header read.

    Raises:
        NotAnImageError, ImagePixelsError, BrokenImageError: see `decode`.
    """
    name = image_format(data[:HEAD_BYTES])
    if name is None:
        found = f"the first bytes are {data[:8]!r}" if data else "there are none"
        raise NotAnImageError(f"these bytes are not an image in {', '.join(FORMATS)}: {found}")
    try:
        return PLUGINS[name](io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise _pillow_limit(name, error) from error
    except Exception as error:
        raise BrokenImageError(f"this {name} is broken, its header cannot be read: {_reason(error)}") from error


def _pillow_limit(name: str | None, error: Image.DecompressionBombError) -> ImagePixelsError:
    """Some of Pillow's readers check its own limit, whoever calls them."""
    return ImagePixelsError(f"this {name} is above the limit of PIL.Image.MAX_IMAGE_PIXELS: {_reason(error)}")


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else f"its data is broken ({type(error).__name__})"
