"""Regions, masks, and what a prediction returns."""

import base64
from functools import partial
from typing import Any

from PIL import Image

from tests.hostile.client import JSON, PREDICT, post, post_json
from tests.hostile.corpus.base import BAD, OK, Case, small_png, text_of
from tests.hostile.images.base import encoded, noise
from tests.hostile.images.png import GREY, chunk, flat, header, join, text_bomb, with_chunks, zeros

OUTSIDE = frozenset({422})
WRONG = BAD | OUTSIDE
LARGE = frozenset({413})
INNER = [0.25, 0.25, 0.75, 0.75]


def png_text(size: tuple[int, int], value: int = 255) -> str:
    """A mask of one value."""
    return text_of(encoded(Image.new("L", size, value), "PNG"))


def with_header(width: int, height: int) -> bytes:
    """A mask that says that it is large."""
    return join(header(width, height), chunk(b"IDAT", zeros(100)))


def half_mask(side: int) -> str:
    """The left half of it is set."""
    mask = Image.new("L", (side, side))
    mask.paste(255, (0, 0, side // 2, side))
    return text_of(encoded(mask, "PNG"))


REGIONS: list[tuple[str, Any, frozenset[int]]] = [
    ("null", None, BAD),
    ("a number", 3, BAD),
    ("a text", "box", BAD),
    ("a list", [0, 0, 1, 1], BAD),
    ("an empty object", {}, BAD),
    ("two kinds", {"box": INNER, "patches": [1]}, BAD),
    ("three kinds", {"box": INNER, "patches": [1], "mask": "a"}, BAD),
    ("an unknown kind", {"circle": [0.5, 0.5, 0.1]}, BAD),
    ("a kind that is long", {"x" * 50_000: 1}, BAD),
    ("box of 3", {"box": [0, 0, 1]}, WRONG),
    ("box of 5", {"box": [0, 0, 1, 1, 1]}, WRONG),
    ("box of 0", {"box": []}, WRONG),
    ("box of 50,000", {"box": [0.5] * 50_000}, WRONG),
    ("box of words", {"box": ["a", 0, 1, 1]}, BAD),
    ("box of nulls", {"box": [None] * 4}, BAD),
    ("box of lists", {"box": [[0]] * 4}, BAD),
    ("box of truth", {"box": [True] * 4}, WRONG),
    ("box text", {"box": "0,0,1,1"}, BAD),
    ("box outside", {"box": [0.5, 0.5, 1.5, 1]}, OUTSIDE),
    ("box below 0", {"box": [-0.5, 0, 0.5, 0.5]}, OUTSIDE),
    ("box turned", {"box": [0.9, 0.9, 0.1, 0.1]}, OUTSIDE),
    ("box empty", {"box": [0.5, 0.5, 0.5, 0.6]}, OUTSIDE),
    ("box thin", {"box": [0.5, 0.5, 0.5 + 1e-12, 0.6]}, WRONG | OK),
    ("box of everything", {"box": [0, 0, 1, 1]}, OUTSIDE),
    ("box of 1e308", {"box": [0, 0, 1e308, 1e308]}, OUTSIDE),
    ("box of 10^400", {"box": [0, 0, 10**400, 1]}, WRONG),
    ("box of -0", {"box": [-0.0, -0.0, 0.5, 0.5]}, OK),
    ("box cut away", {"box": [0, 0, 0.01, 1]}, WRONG | OK),
    ("patches none", {"patches": []}, OUTSIDE),
    ("patch 99", {"patches": [99]}, OUTSIDE),
    ("patch -1", {"patches": [-1]}, OUTSIDE),
    ("patch 2^63", {"patches": [2**63]}, WRONG),
    ("patch 2^64", {"patches": [2**64 - 1]}, WRONG),
    ("patch 10^300", {"patches": [10**300]}, WRONG),
    ("patch 0.5", {"patches": [0.5]}, BAD),
    ("patch text", {"patches": ["0"]}, BAD | OK),
    ("patch null", {"patches": [None]}, BAD),
    ("patch twice", {"patches": [0, 0, 0]}, OK | WRONG),
    ("all patches", {"patches": list(range(16))}, OUTSIDE),
    ("50,000 patches", {"patches": [0] * 50_000}, OK | WRONG),
    ("1,000,000 patches", {"patches": [0] * 1_000_000}, BAD),
    ("patches a number", {"patches": 3}, BAD),
    ("patches an object", {"patches": {"0": 1}}, BAD),
    ("mask null", {"mask": None}, BAD),
    ("mask number", {"mask": 3}, BAD),
    ("mask empty", {"mask": ""}, BAD),
    ("mask of all", {"mask": png_text((16, 16))}, OUTSIDE),
    ("mask of nothing", {"mask": png_text((16, 16), 0)}, OUTSIDE),
    ("mask of half", {"mask": half_mask(16)}, OK),
    ("mask not base64", {"mask": "not base64!"}, BAD),
    ("mask not an image", {"mask": text_of(b"no png")}, BAD),
    ("mask JPEG", {"mask": text_of(encoded(noise("L"), "JPEG"))}, BAD),
    ("mask an address", {"mask": "http://localhost/mask.png"}, BAD),
    ("mask of 0 bytes", {"mask": "data:image/png;base64,"}, BAD),
    ("mask cut short", {"mask": text_of(small_png()[:90])}, WRONG),
    ("mask as lines", {"mask": base64.encodebytes(small_png()).decode()}, WRONG),
    ("mask 4096 x 4096", {"mask": half_mask(4096)}, OK),
    ("mask 4097 x 1", {"mask": png_text((4097, 1))}, LARGE | BAD),
    ("mask 30000 x 30000", {"mask": text_of(with_header(30_000, 30_000))}, LARGE | BAD),
    ("mask with texts", {"mask": text_of(with_chunks(text_bomb(900, 1_000_000)))}, WRONG | OK),
    ("mask of 5000 x 5000", {"mask": text_of(flat(5000, 5000, 1, GREY))}, LARGE | BAD),
]

RETURNS: list[tuple[str, Any, frozenset[int]]] = [
    ("a word", "predicted", BAD | OK),
    ("unknown", ["colours"], BAD),
    ("a number", 3, BAD),
    ("an object", {"predicted": 1}, BAD),
    ("a list in it", [["predicted"]], BAD),
    ("null", None, BAD | OK),
    ("twice", ["predicted", "predicted"], BAD | OK),
    ("100 times", ["predicted"] * 100, BAD),
    ("50,000 times", ["predicted"] * 50_000, BAD),
    ("100,000 times", ["predicted"] * 100_000, BAD),
    ("a long word", ["x" * 100_000], BAD),
]


def ask(**fields: Any) -> bytes:
    """A prediction of a small image."""
    return post_json({"image": text_of(small_png()), "targets": [{"box": INNER}], **fields}, PREDICT)


def ask_text(fields: str) -> bytes:
    """JSON that Python does not write."""
    return post(f'{{"image": "{text_of(small_png())}", {fields}}}'.encode(), PREDICT, JSON)


CASES = [
    *(Case(f"target / {name}", partial(ask, targets=[region]), statuses) for name, region, statuses in REGIONS),
    *(
        Case(f"context / {name}", partial(ask, context=region), statuses | OK)
        for name, region, statuses in REGIONS[::2]
    ),
    *(Case(f"return / {name}", partial(ask, **{"return": value}), statuses) for name, value, statuses in RETURNS),
    *(
        Case(f"targets / {name}", partial(ask, targets=value), statuses)
        for name, value, statuses in (
            ("none", [], BAD),
            ("null", None, BAD),
            ("a text", "all", BAD),
            ("an object", {"box": INNER}, BAD),
            ("65", [{"patches": [1]}] * 65, BAD),
            ("64", [{"patches": [1]}] * 64, OK),
            ("90,000", [1] * 90_000, BAD),
            ("1,000,000", [1] * 1_000_000, BAD),
            ("64 masks of 4096 x 4096", [{"mask": half_mask(4096)}] * 64, BAD | LARGE),
            ("64 masks of 64 x 64", [{"mask": half_mask(64)}] * 64, OK),
            ("64 boxes of 1,000", [{"box": [0.5] * 1000}] * 64, WRONG),
            ("64 of 1,000 patches", [{"patches": [1] * 1000}] * 64, OK),
            ("65,000 fields", [{f"a{i}": 1 for i in range(65_000)}], BAD),
        )
    ),
    *(
        Case(f"box / {value}", partial(ask_text, f'"targets": [{{"box": [0, 0, {value}, 0.5]}}]'), WRONG)
        for value in ("NaN", "Infinity", "-Infinity", "1e999", "1e-999", "0.5.5", "\u0663")
    ),
    Case("image / a list of one", partial(ask, image=[text_of(small_png())]), BAD | OK),
    Case("image / a list of two", partial(ask, image=[text_of(small_png())] * 2), BAD | LARGE),
    Case("image / null", partial(ask, image=None), BAD),
    Case("image / missing", lambda: post_json({"targets": [{"box": INNER}]}, PREDICT), BAD),
]
