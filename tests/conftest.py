"""What all tests share: shapes in signatures are checked here and nowhere else, and a few small worlds."""

from pathlib import Path

import jaxtyping
import pytest

import tests.shapes  # noqa: F401 -- the hook below finds it by name

jaxtyping.install_import_hook(
    ["models", "training", "service.engine", "service.runtimes", "service.pooling"], "tests.shapes.checked"
)

GOLDEN = Path(__file__).parent / "golden" / "bundle"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="session")
def golden() -> Path:
    """A real bundle of a few kB: 16x16 RGB pictures, 4x4 patches."""
    return GOLDEN


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """Where Debian's package has Fashion-MNIST."""
    if not FASHION_MNIST.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    return FASHION_MNIST


@pytest.fixture
def one_thread():
    """Torch on one thread, as a test that compares bits or runs beside others wants it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
