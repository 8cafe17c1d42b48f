from types import SimpleNamespace

import pytest

from models.bundle.reader import read_bundle
from models.runtimes import measure
from models.runtimes.fake import FakeRuntime


@pytest.mark.parametrize(
    ("fixed", "per_image", "expected"),
    [
        (0.010, 0.020, 8),  # 95 % of the best needs the fixed cost shared by 8
        (0.000, 0.120, 1),  # more at once gain nothing
        (0.000, 0.020, 4),  # shorter batches than 50 ms are not taken
        (0.000, 0.0001, 32),  # all are shorter: the largest that is timed
        (0.000, 0.400, 1),  # one is too long already
    ],
)
def test_the_batch_is_the_smallest_that_is_as_fast_as_any_but_not_a_short_one(
    golden, monkeypatch, fixed, per_image, expected
):
    elapsed = SimpleNamespace(seconds=0.0)

    class Slow(FakeRuntime):
        def encode(self, pixels, outputs):
            elapsed.seconds += fixed + per_image * len(pixels)
            return super().encode(pixels, outputs)

    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: elapsed.seconds))
    monkeypatch.setattr(measure, "MAX_BATCH_SECONDS", 0.5)
    bundle = read_bundle(golden)
    speed = measure.time_batches(Slow(bundle), bundle)
    assert speed.batch_size == expected
    assert speed.images_per_second == pytest.approx(expected / (fixed + per_image * expected))
