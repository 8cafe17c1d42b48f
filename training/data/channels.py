"""Grey or colour: what the network should take, by a sample of the images."""

import numpy as np
from PIL import Image

from training.config import NetworkConfig
from training.data.loader import Reader

N_SAMPLED_IMAGES = 64
"""Images that are opened to tell grey from colour."""


def is_grey(image: Image.Image) -> bool:
    """Whether all channels are equal."""
    if image.mode == "L":
        return True
    pixels = np.asarray(image)
    return bool((pixels == pixels[..., :1]).all())


def has_colour(reader: Reader) -> bool:
    """Whether any image of a sample, spread evenly over the source, is in colour."""
    count = len(reader.source)
    spread = np.linspace(0, count - 1, min(N_SAMPLED_IMAGES, count)).astype(int)
    return any(not is_grey(reader.open(int(index))) for index in spread)


def infer_channels(network: NetworkConfig, reader: Reader) -> tuple[NetworkConfig, str | None]:
    """The network with its channels set, and a sentence to show where they were inferred or lose the images' colour."""
    if network.channels == 3:
        return network, None
    colour = has_colour(reader)
    if network.channels == 1:
        warning = (
            "the images have colour, the network takes one channel (network.channels=1): it will see them in grey; "
            "use network.channels=3 network.mean=null network.std=null for colour"
        )
        return network, warning if colour else None
    statistics = "the given mean and std" if network.mean or network.std else "ImageNet's mean and std"
    if colour:
        note = f"the images are in colour: training with network.channels=3 and {statistics}"
        return network.model_copy(update={"channels": 3}), note
    looked_at = min(N_SAMPLED_IMAGES, len(reader.source))
    note = (
        f"all {looked_at} images looked at are grey: training with network.channels=1 and {statistics} "
        "(network.channels=3 for colour)"
    )
    return network.model_copy(update={"channels": 1}), note
