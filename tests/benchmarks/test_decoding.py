"""The decoding benchmark compares what it says."""

import importlib.util

from benchmarks.decoding import decoders, equal, made, milliseconds, reads_all
from models.images.decode import decode


def test_decoders_read_the_same_pixels_and_a_scaled_one_only_where_the_image_is_large(capsys):
    small, large = made(500, 375), made(1200, 1100, made(500, 375))
    compared = decoders()
    exact, scaled = compared[:2]
    assert decode(large).size == (1200, 1100)
    assert reads_all(compared, small)
    assert not reads_all(compared, small[:400])
    assert equal(exact, exact, [small]) == "1/1 of 1"
    assert equal(scaled, exact, [small, large]) == "-/1 of 2"
    assert milliseconds(exact, [small]) > 0
    assert ("simplejpeg is skipped" in capsys.readouterr().out) == (importlib.util.find_spec("simplejpeg") is None)
