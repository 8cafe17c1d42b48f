import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.images.decode import DecodeLimits
from models.images.preprocess import Preprocessing
from service.decoding.base import workers_supported
from tests.models.images.hostile_files import encoded

linux_only = pytest.mark.skipif(not workers_supported(), reason="this system has no workers")


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@linux_only
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_worker_gives_back_what_large_images_took(worker, name):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((4000, 3000))
    worker.start()
    before = resident(worker.pid)
    options = {"compress_level": 1} if name == "PNG" else {"compression": "tiff_lzw"} if name == "TIFF" else {}
    data = encoded(image, name, **options)
    for _ in range(2):
        worker.read_pixels(data, Preprocessing(size=(64, 64)), limits=DecodeLimits(max_bytes=100_000_000))
    assert resident(worker.pid) - before < 25_000_000
    assert worker.restarts == 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only for glibc's allocator")
def test_a_process_can_give_back_what_it_freed():
    """Blocks that are freed raise glibc's threshold to their size, and then those that are freed are kept."""
    script = """
import numpy as np, os
from service.decoding.memory import return_memory
assert return_memory()
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
np.ones(30_000_000, np.uint8)
before = resident()
blocks = [np.ones(8_000_000, np.uint8) for _ in range(20)]
last = np.ones(1000, np.uint8)
del blocks
print(resident() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert int(result.stdout) < 10_000_000
