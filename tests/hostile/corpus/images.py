"""Every hostile image as a raw body, and the small ones in a list of JSON and in a form as well, beside an ordinary one."""

from functools import partial

from tests.hostile.client import EMBED, OPENAI, post, post_json
from tests.hostile.corpus.base import Case, small_png, text_of
from tests.hostile.images.base import HostileImage
from tests.hostile.images.table import IMAGES

BOUNDARY = "b"


def raw(image: HostileImage) -> bytes:
    """The image as the body, with a type that it may not have."""
    return post(image.make(), EMBED, "image/jpeg")


def in_json(image: HostileImage) -> bytes:
    """The second of two."""
    return post_json({"input": [text_of(small_png()), "data:image/gif;base64," + text_of(image.make())]}, OPENAI)


def in_form(image: HostileImage) -> bytes:
    """The second of two."""
    return post(form(("file", small_png()), ("file", image.make())), EMBED, f"multipart/form-data; boundary={BOUNDARY}")


def form(*parts: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    """A form of named parts."""
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


CASES = [
    *(Case(f"image / {image.name}", partial(raw, image), image.statuses, image.slow) for image in IMAGES),
    *(
        Case(f"image in JSON / {image.name}", partial(in_json, image), image.statuses)
        for image in IMAGES[::4]
        if not image.slow
    ),
    *(
        Case(f"image in a form / {image.name}", partial(in_form, image), image.statuses)
        for image in IMAGES[1::4]
        if not image.slow
    ),
]
