"""The I-JEPA weights that others published, under every name they go by: what they saw, and what one may do with them."""

import json
from typing import Any, NamedTuple

NON_COMMERCIAL = "CC-BY-NC-4.0"


class Published(NamedTuple):
    """One network. `names` are Meta's file without its ending, the Hugging Face ids of its conversion, timm's name."""

    trained_on: str
    licence: str
    names: tuple[str, ...]


PUBLISHED = (
    Published(
        "ImageNet-1k for 300 epochs",
        NON_COMMERCIAL,
        ("IN1K-vit.h.14-300e", "facebook/ijepa_vith14_1k", "timm:vit_huge_patch14_gap_224.in1k_ijepa"),
    ),
    Published(
        "ImageNet-1k for 300 epochs, at 448 pixels",
        NON_COMMERCIAL,
        ("IN1K-vit.h.16-448px-300e", "facebook/ijepa_vith16_1k", "timm:vit_huge_patch16_gap_448.in1k_ijepa"),
    ),
    Published(
        "ImageNet-22k for 66 epochs",
        NON_COMMERCIAL,
        ("IN22K-vit.h.14-900e", "facebook/ijepa_vith14_22k", "timm:vit_huge_patch14_gap_224.in22k_ijepa"),
    ),
    Published(
        "ImageNet-22k for 44 epochs",
        NON_COMMERCIAL,
        ("IN22K-vit.g.16-600e", "facebook/ijepa_vitg16_22k", "timm:vit_giant_patch16_gap_224.in22k_ijepa"),
    ),
)
SETTINGS: dict[str, Any] = {
    "masking": {
        "name": "reference",
        "targets": 4,
        "target_scale": [0.15, 0.2],
        "target_aspect": [0.75, 1.5],
        "context_scale": [0.85, 1.0],
        "min_keep": 10,
    },
    "objective": {"distance": "smooth_l1", "beta": 1.0},
}
"""What every published configuration trained with, in our recipes' words."""


def restriction(licence: str) -> str:
    """What to say behind a licence that forbids commercial use."""
    return ": not for commercial use" if "-nc" in licence.lower() else ""


HUB_LICENCES = (
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
)


def page_header(licence: str) -> str:
    """The header of a page on the hub, which takes a licence from its own list, or another under `license_name`."""
    known = licence.lower() in HUB_LICENCES
    lines = [f"license: {licence.lower()}"] if known else ["license: other", f"license_name: {json.dumps(licence)}"]
    return "\n".join(["---", *lines, "tags:", "- i-jepa", "---", "", ""])


def find_published(name: str) -> Published | None:
    """The network that a name belongs to."""
    return next((each for each in PUBLISHED if name in each.names), None)
