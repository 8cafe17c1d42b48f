"""The table of probes: what can be measured of a network without changing it."""

from training.evaluation import knn, linear, nearest_mean, swap
from training.evaluation.base import FeatureProbe, NetworkProbe

PROBES: dict[str, FeatureProbe | NetworkProbe] = {
    "nearest-mean": nearest_mean.PROBE,
    "knn": knn.PROBE,
    "linear": linear.PROBE,
    "swap": swap.PROBE,
}
"""By the name that `--method` takes, in the order of the columns."""
