"""Which function reads the header of which format."""

from collections.abc import Callable

from models.images.headers.base import Header
from models.images.headers.bmp import read_bmp
from models.images.headers.gif import read_gif
from models.images.headers.jpeg import read_jpeg
from models.images.headers.png import read_png
from models.images.headers.tiff import read_tiff
from models.images.headers.webp import read_webp

READERS: dict[str, Callable[[bytes], Header | None]] = {
    "PNG": read_png,
    "WEBP": read_webp,
    "BMP": read_bmp,
    "GIF": read_gif,
    "TIFF": read_tiff,
}


def read_header(name: str, data: bytes, scale_of: Callable[[tuple[int, int]], int] | None = None) -> Header | None:
    """The header of a file in the format `name`; None where it has none that could be read.

    `scale_of` its size is the scale at which a JPEG is decoded.

    Raises:
        BrokenImageError: a file that is made to cost more than its pixels do.
    """
    return read_jpeg(data, scale_of) if name == "JPEG" else READERS[name](data)
