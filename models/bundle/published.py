"""The published I-JEPA weights: where to get them, under which names, what they were trained on, and their licence."""

import json
from typing import Any, NamedTuple

META_FILES = "https://dl.fbaipublicfiles.com/ijepa/"
META_PAGE = "https://github.com/facebookresearch/ijepa"
"""The page that links the files."""
HUB_PAGES = "https://huggingface.co/"
NON_COMMERCIAL = "CC-BY-NC-4.0"


class Published(NamedTuple):
    """One network: Meta's training checkpoint, the Hugging Face id of its conversion (encoder only), and timm's name of it."""

    file: str
    hub: str
    timm: str
    trained_on: str
    licence: str = NON_COMMERCIAL

    @property
    def url(self) -> str:
        """Where Meta's file is downloaded."""
        return META_FILES + self.file

    @property
    def hub_page(self) -> str:
        """The page of the conversion."""
        return HUB_PAGES + self.hub

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that `ijepa import` may meet: the file without its suffixes, the hub id, timm's name."""
        return self.file.removesuffix(".pth.tar"), self.hub, self.timm


PUBLISHED = (
    Published(
        "IN1K-vit.h.14-300e.pth.tar",
        "facebook/ijepa_vith14_1k",
        "timm:vit_huge_patch14_gap_224.in1k_ijepa",
        "ImageNet-1k for 300 epochs",
    ),
    Published(
        "IN1K-vit.h.16-448px-300e.pth.tar",
        "facebook/ijepa_vith16_1k",
        "timm:vit_huge_patch16_gap_448.in1k_ijepa",
        "ImageNet-1k for 300 epochs, at 448 pixels",
    ),
    Published(
        "IN22K-vit.h.14-900e.pth.tar",
        "facebook/ijepa_vith14_22k",
        "timm:vit_huge_patch14_gap_224.in22k_ijepa",
        "ImageNet-22k for 66 epochs",
    ),
    Published(
        "IN22K-vit.g.16-600e.pth.tar",
        "facebook/ijepa_vitg16_22k",
        "timm:vit_giant_patch16_gap_224.in22k_ijepa",
        "ImageNet-22k for 44 epochs",
    ),
)
PUBLISHED_SETTINGS: dict[str, Any] = {
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
"""The settings of all published training configurations, under the names of this project's recipes."""


def find_published(name: str) -> Published | None:
    """The published network with this name."""
    return next((each for each in PUBLISHED if name in each.names), None)


def restriction(licence: str) -> str:
    """What to add to a licence that forbids commercial use."""
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
"""Licences that the hub's model cards take as `license`."""


def page_header(licence: str) -> str:
    """The YAML header of a model card on the hub: `license` from the hub's own list, or `other` and `license_name`."""
    known = licence.lower() in HUB_LICENCES
    lines = [f"license: {licence.lower()}"] if known else ["license: other", f"license_name: {json.dumps(licence)}"]
    return "\n".join(["---", *lines, "tags:", "- i-jepa", "---", "", ""])
