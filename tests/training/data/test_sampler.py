import numpy as np
import pytest

from models.errors import DataError
from training.data.sampler import Sampler


def test_each_epoch_has_every_image_at_most_once_in_an_order_of_its_own():
    sampler = Sampler(count=50, batch_size=8, seed=0)
    epochs = [np.concatenate([sampler.samples(6 * epoch + i)[1] for i in range(6)]) for epoch in range(2)]

    for samples in epochs:
        assert len(set(samples.tolist())) == 48
    assert epochs[0].tolist() != epochs[1].tolist()


def test_the_batch_of_a_step_depends_on_the_step_alone():
    forwards, again = Sampler(50, 8, seed=3), Sampler(50, 8, seed=3)
    first = [forwards.samples(step) for step in range(14)]

    for step in (13, 2, 7):
        epoch, samples = again.samples(step)
        assert epoch == first[step][0] == step // 6
        assert samples.tolist() == first[step][1].tolist()


def test_too_few_images_for_a_batch_is_an_error_with_the_number():
    with pytest.raises(DataError, match=r"50 images do not fill one batch; use optim\.batch_size=50 or less"):
        Sampler(count=50, batch_size=51, seed=0)
