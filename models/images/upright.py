"""An image as it is meant to be seen: upright, RGB, nothing transparent."""

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

EXIF_ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations in which width and height change places."""
LEFT_IS_LAST, TOP_IS_LAST = (2, 3, 6, 7), (3, 4, 7, 8)
"""Orientations in which the left column, or the top row, of the upright image is the last row or column of the file."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen: turned as its EXIF says, transparency over white, 16 bits scaled to 8, RGB.

    An upright RGB image is returned itself, loaded; a copy of 12 million pixels takes half as long as decoding them.
    """
    image.load()
    vars(image).pop("_decoder", None)  # of a WebP: two more images, which are not needed once it is loaded
    if (turn := TURNS.get(orientation_of(image))) is not None:  # FLIP_LEFT_RIGHT is 0
        image = image.transpose(turn)
    if image.mode.startswith("I"):  # Pillow clips 16-bit greys when it converts them; scale instead
        image = Image.fromarray(_high_bytes(np.array(image)))
    if image.has_transparency_data:
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _high_bytes(values: Integer[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """16-bit values, of which 32 bits may be stored, as 8-bit ones. `values` is used up: there may be much of it."""
    if values.dtype.kind == "i":
        values = values.view(np.uint32)
    values >>= 8
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8. An image with unreadable metadata counts as upright."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 -- Pillow raises anything; the pixels can be read all the same
        return 1
    return value if isinstance(value, int) else 1
