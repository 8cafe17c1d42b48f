import pytest
from PIL import Image

from models.images.sources.table import open_source
from training.config import NetworkConfig
from training.data.channels import infer_channels
from training.data.loader import Reader


def folder(path, **images):
    path.mkdir()
    for name, image in images.items():
        image.save(path / f"{name}.png")
    return Reader(open_source(str(path)))


GREY = Image.new("L", (8, 8), 9)
EQUAL = Image.new("RGB", (8, 8), (9, 9, 9))
COLOUR = Image.new("RGB", (8, 8), (9, 9, 10))


@pytest.mark.parametrize(
    ("images", "channels"), [({"a": GREY, "b": EQUAL}, 1), ({"a": GREY, "b": COLOUR}, 3), ({"a": COLOUR}, 3)]
)
def test_channels_that_are_not_set_are_those_of_the_images(tmp_path, images, channels):
    network, note = infer_channels(NetworkConfig(), folder(tmp_path / "in", **images))

    assert network.channels == channels
    assert f"network.channels={channels}" in note
    assert "ImageNet's mean and std" in note


def test_colour_images_for_one_channel_are_a_warning(tmp_path):
    network, note = infer_channels(NetworkConfig(channels=1), folder(tmp_path / "in", a=GREY, b=COLOUR))

    assert network.channels == 1
    assert "network.channels=3 network.mean=null network.std=null for colour" in note


@pytest.mark.parametrize(("channels", "image"), [(1, EQUAL), (3, GREY), (3, COLOUR)])
def test_channels_that_lose_nothing_are_not_mentioned(tmp_path, channels, image):
    assert infer_channels(NetworkConfig(channels=channels), folder(tmp_path / "in", a=image))[1] is None


def test_one_colour_image_among_many_is_found(tmp_path):
    images = {f"{i:02}": GREY for i in range(40)} | {"25": COLOUR}
    assert infer_channels(NetworkConfig(), folder(tmp_path / "in", **images))[0].channels == 3


def test_a_note_on_grey_images_says_how_many_were_looked_at(tmp_path):
    images = {f"{i:02}": GREY for i in range(70)}
    note = infer_channels(NetworkConfig(), folder(tmp_path / "in", **images))[1]
    assert note.startswith("all 64 images looked at are grey: training with network.channels=1 ")
    assert note.endswith("(network.channels=3 for colour)")


def test_a_broken_image_is_reported_by_the_reader_of_the_run_alone(tmp_path, caplog):
    reader = folder(tmp_path / "in", a=GREY, b=GREY)
    (tmp_path / "in" / "a.png").write_bytes(b"")
    infer_channels(NetworkConfig(), reader)
    reader.open(0)
    assert len(caplog.records) == 1
