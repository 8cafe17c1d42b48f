"""A folder that looks like a fresh clone to a reader of the documentation, with images of their own.

It has `docs/examples`, the files that `make` needs, synthetic photographs in `photos/train/CLASS` and `photos/test/CLASS`,
`cat.jpg` and `dog.jpg`.
"""

import os
import shutil
import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def make_environment(folder: Path, port: int) -> dict[str, str]:
    """This environment with a home of its own, no settings of the user's, and no network beyond this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("IJEPA_", "HF_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "home" / ".cache"),
        "HF_HUB_OFFLINE": "1",
        "NO_PROXY": "localhost,127.0.0.1",
        "no_proxy": "localhost,127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "IJEPA_PORT": str(port),
        "IJEPA_THREADS": "1",
        "PORT": str(port),
    }


def make_clone(folder: Path) -> None:
    """What a reader has: the checkout's files, and images of their own."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", ".venv"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / "home").mkdir()
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    make_photos(folder / "photos")
    shutil.copy(folder / "photos" / "test" / "cat" / "000.jpg", folder / "cat.jpg")
    shutil.copy(folder / "photos" / "test" / "dog" / "000.jpg", folder / "dog.jpg")


def make_photos(folder: Path) -> None:
    """Colour JPEGs of several sizes in two classes, which differ in colour."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 12)):
        for label, colour in (("cat", (200, 120, 60)), ("dog", (60, 120, 200))):
            (folder / part / label).mkdir(parents=True)
            for i in range(count):
                coarse = np.clip(rng.normal(colour, 50, (6, 8, 3)), 0, 255).astype(np.uint8)
                size = (80 + 7 * (i % 5), 64 + 5 * (i % 7))
                Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(
                    folder / part / label / f"{i:03d}.jpg"
                )


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
