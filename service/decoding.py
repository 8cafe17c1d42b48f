"""Bytes to an RGB picture, with limits. The format is told from the bytes, never from a name or a declared type."""

import io
import re
import warnings

from PIL import Image, UnidentifiedImageError

from models.preprocess import BROKEN, upright_rgb
from service.errors import BodyTooLarge, ImageTooLarge, InvalidImage, UnsupportedMediaType
from service.settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""What is tried, in this order. Of an animation the first frame is taken, of a TIFF the first page."""

MAX_SIDE = 65_535
"""Longest side of a picture: JPEG's own limit."""

MAGIC = tuple(
    (name, re.compile(magic, re.DOTALL))
    for name, magic in (
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("WEBP", rb"RIFF....WEBP"),
        ("BMP", rb"BM"),
        ("GIF", rb"GIF8[79]a"),
        ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    )
)
"""How a file of each format begins: what tells a broken picture from no picture."""

Image.MAX_IMAGE_PIXELS = (
    None  # `max_pixels` decides, for the whole process, with our message; Pillow's limit would come first
)

warnings.filterwarnings(
    "ignore", module=r"PIL\..*"
)  # what Pillow thinks of a client's metadata is nobody's business here


def decode(data: bytes, settings: Settings, param: str | None = None) -> Image.Image:
    """The picture as it is meant to be seen, in RGB.

    Raises:
        BodyTooLarge: more bytes than a picture may have.
        UnsupportedMediaType: no format on the list.
        ImageTooLarge: more pixels than allowed, told from the header.
        InvalidImage: a known format that cannot be decoded.
    """
    if len(data) > settings.max_image_bytes:
        raise BodyTooLarge(f"a picture may have {settings.max_image_bytes:,} bytes, this has {len(data):,}", param)
    image = _open(data, param)
    width, height = image.size
    if width * height > settings.max_pixels or max(width, height) > MAX_SIDE:
        raise ImageTooLarge(
            f"a picture may have {settings.max_pixels:,} pixels and sides of {MAX_SIDE:,}, "
            f"this has {width} x {height} = {width * height:,}",
            param,
        )
    if not width * height:
        raise InvalidImage(f"this {image.format} has {width} x {height} pixels", param)
    try:
        return upright_rgb(image)
    except BROKEN as error:
        raise InvalidImage(f"this {image.format} cannot be decoded: {_reason(error)}", param) from error


def _open(data: bytes, param: str | None) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        if known := next((name for name, magic in MAGIC if magic.match(data)), None):
            raise InvalidImage(f"this {known} is broken: its header cannot be read", param) from error
        found = f"the first bytes are {data[:8]!r}" if data else "there are none"
        raise UnsupportedMediaType(f"these bytes are no picture in {', '.join(FORMATS)}: {found}", param) from error
    except BROKEN as error:
        raise InvalidImage(f"this picture's header cannot be read: {_reason(error)}", param) from error


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
