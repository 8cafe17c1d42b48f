"""All hostile images, and those that hide among formats that are not read at all."""

from functools import partial

from tests.hostile.images import bmp, gif, jpeg, png, tiff, webp
from tests.hostile.images.base import NOT_AN_IMAGE, HostileImage

OTHER = {
    "text": b"not an image",
    "zeros": bytes(5000),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "XML entities": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file",
    "ICO": b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0",
    "PSD": b"8BPS\0\1" + bytes(90),
    "ICNS": b"icns\xff\xff\xff\xff",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(90),
    "AVIF": b"\0\0\0\x1cftypavif" + bytes(90),
    "FITS": b"SIMPLE  =                    T" + bytes(90),
    "PPM of 4 billion pixels": b"P6 65535 65535 255\n",
    "FLI": b"\0\0\0\0\x12\xaf" + bytes(200),
    "TGA": b"\0\0\2" + bytes(9) + b"\xff\xff\xff\xff\x18\0",
    "ZIP": b"PK\3\4" + bytes(90),
    "gzip": b"\x1f\x8b\x08" + bytes(90),
    "pickle": b"\x80\x04\x95" + bytes(90),
    "NumPy": b"\x93NUMPY\1\0v\0{'descr': '<f8', 'shape': (99999999999,)}",
}

FORMATS = {"PNG": png, "JPEG": jpeg, "WebP": webp, "TIFF": tiff, "GIF": gif, "BMP": bmp}

IMAGES: list[HostileImage] = [
    *(image._replace(name=f"{name}: {image.name}") for name, module in FORMATS.items() for image in module.IMAGES),
    *(HostileImage(f"other: {name}", partial(bytes, data), NOT_AN_IMAGE) for name, data in OTHER.items()),
]


def image_named(name: str) -> bytes:
    """The bytes of one of them."""
    return next(image.make() for image in IMAGES if image.name == name)
