"""How energies compare with what the calibration found usual."""

import numpy as np

from models.bundle.manifest import Calibration, Distance
from models.inference.prediction import TargetSpace


def test_z_is_by_the_mean_and_deviation_of_each_patch():
    usual = Calibration(mean=[[1.0, 2.0], [3.0, 4.0]], std=[[0.5, 1.0], [2.0, 0.0]], masks=8, images=2, measured_on="x")
    space = TargetSpace(Distance(name="l2"), calibration=usual)
    np.testing.assert_allclose(space.z(np.array([5.0, 3.0]), np.array([2, 1])), [1.0, 1.0])
    z = space.z(np.array([4.0]), np.array([3]))
    assert z is not None
    assert z.tolist() == [0.0]


def test_without_a_calibration_there_is_no_z():
    assert TargetSpace(Distance(name="l2")).z(np.array([1.0]), np.array([0])) is None
