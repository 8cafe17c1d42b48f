"""What all tests share: shapes in signatures are checked here and nowhere else, and a few small worlds."""

import os
from pathlib import Path

import jaxtyping
import pytest

import tests.shapes  # noqa: F401 -- the hook below finds it by name

jaxtyping.install_import_hook(["models", "training", "service.operations"], "tests.shapes.checked")

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "bundle"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What tests keep between starts is not kept in the user's cache, and what the user keeps there is not seen by tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def golden() -> Path:
    """A real bundle of a few kB: 16x16 RGB images, 4x4 patches."""
    return GOLDEN


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """Where Debian's package has Fashion-MNIST."""
    if not FASHION_MNIST.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    return FASHION_MNIST


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images: photographs, Tiny ImageNet, CIFAR-10."""
    folder = Path(os.environ.get("REAL_IMAGES") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}; set REAL_IMAGES")
    return folder


@pytest.fixture(scope="session")
def photos(real_data) -> Path:
    """A folder of 100 photographs as people have them: odd sizes, grey and colour, some turned by EXIF."""
    return real_data / "photos"


@pytest.fixture(scope="session")
def tiny_imagenet(real_data, tmp_path_factory) -> Path:
    """A folder of 300 photographs of 64x64 of Tiny ImageNet, a folder for each of their classes."""
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("tiny-imagenet")
    (source,) = list((real_data / "tiny-imagenet").glob("val*.parquet"))
    for i, row in enumerate(pq.read_table(source).slice(0, 300).to_pylist()):
        (folder / str(row["label"])).mkdir(exist_ok=True)
        (folder / str(row["label"]) / f"{i:04d}.jpg").write_bytes(row["image"]["bytes"])
    return folder


@pytest.fixture
def one_thread():
    """Torch on one thread, as a test that compares bits or runs beside others wants it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
