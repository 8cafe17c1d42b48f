import pytest

HEALTHY = {"loss": 0.1, "explained_variance": 0.75, "feature_std": 0.44, "rankme": 48.0}


def test_explained_variance_is_0_for_the_mean_and_1_for_the_truth():
    import torch

    from training.monitors import explained_variance

    targets = torch.randn(4, 2, 3, 8)
    mean = targets.mean(dim=(0, 1, 2)).expand_as(targets)
    assert explained_variance(mean, targets).abs() < 1e-5
    assert explained_variance(targets, targets) == 1


def test_a_point_and_a_line_differ_from_a_cloud():
    import torch

    from training.monitors import feature_std, rankme

    cloud = torch.randn(500, 16)
    line = torch.randn(500, 1) @ torch.randn(1, 16)
    point = torch.ones(500, 16)

    assert rankme(cloud) > 14
    assert rankme(line) < 1.1
    assert feature_std(point) == 0
    assert abs(feature_std(cloud) - 1) < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"explained_variance": -1.55},
            "predicts worse than the mean of the targets does: explained_variance is -1.55",
        ),
        ({"rankme": 1.9}, r"the features collapsed: rankme is 1.9 \(below 2\)"),
        ({"feature_std": 0.001}, r"the features collapsed: feature_std is 0.001 \(below 0.01\)"),
        ({"explained_variance": -1.55, "rankme": 1.9}, "collapsed: explained_variance is -1.55 .*, rankme is 1.9"),
    ],
)
def test_a_run_that_ended_badly_is_named_with_its_values_and_what_to_try(change, message):
    import re

    from training.monitors import collapse_warning

    warning = collapse_warning({**HEALTHY, **change}, 1024)
    assert re.search(message, warning)
    assert "try" in warning


def test_a_healthy_run_is_not_warned_of():
    from training.monitors import collapse_warning

    assert collapse_warning(HEALTHY, 1024) is None
    assert collapse_warning({name: HEALTHY[name] for name in ("loss", "feature_std", "rankme")}, 1024) is None


def test_rank_and_spread_of_few_images_are_not_judged():
    from training.monitors import collapse_warning

    low = {**HEALTHY, "rankme": 1.0, "feature_std": 0.0}
    assert collapse_warning(low, 9) is None
    assert "the features collapsed" in collapse_warning(low, 10)
    assert "predicts worse than the mean" in collapse_warning({**low, "explained_variance": -1.0}, 1)


@pytest.mark.filterwarnings("error")
def test_the_spread_of_one_image_is_0_and_of_more_the_unbiased_one():
    import torch

    from training.monitors import feature_std

    assert feature_std(torch.ones(1, 16)) == 0
    features = torch.randn(2, 16)
    assert feature_std(features) == float(features.std(dim=0).mean())
