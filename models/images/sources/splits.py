"""The splits (train, test, ...) of a data set in Parquet files, by the names of the files as on the Hugging Face hub."""

import re
from collections import Counter
from typing import NamedTuple

from models.errors import DataError
from models.images import storage

DATASETS = "hf://datasets/"
CONVERTED = "@refs%2Fconvert%2Fparquet"
"""The revision where the hub keeps a Parquet copy of data sets in other formats."""
SPLIT_NAMES = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")
DEFAULT_SPLIT = "train"

_NUMBERED = re.compile(r"(.+?)-\d{5}-of-\d{5}")
_NAMED = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?:[-_.]?\d+)?", re.IGNORECASE)
_DATASET = re.compile(r"hf://datasets/([^/@:]+/[^/@:]+)(@[^/:]+)?/?(?::([^:]*))?")


class SplitFiles(NamedTuple):
    """The files of one split: a folder and names below it. `others` counts the files of other splits, by reason."""

    folder: str
    names: list[str]
    split: str
    others: Counter[str]


def is_dataset(place: str) -> bool:
    """Whether a place is a data set on the hub as a whole, with or without a split: `hf://datasets/OWNER/NAME:SPLIT`."""
    return bool(_DATASET.fullmatch(place))


def split_of_dataset(place: str) -> SplitFiles:
    """The Parquet files of a data set on the hub, its own or those that the hub converted.

    After a colon stands a split, or a configuration, a slash and a split.

    Raises:
        DataError: no such data set, configuration or split, or no Parquet files.
    """
    match = _DATASET.fullmatch(place)
    assert match
    wanted = match[3] or ""
    for revision in [match[2]] if match[2] else ["", CONVERTED]:
        folder = f"{DATASETS}{match[1]}{revision}"
        if revision == CONVERTED and not storage.exists(folder):
            break
        names = [name for name in storage.files_below(folder) if name.endswith(".parquet")]
        if names:
            return choose_split(folder, names, wanted, place)
    raise DataError(f"{place} has no Parquet files, and the hub has not converted it")


def choose_split(folder: str, names: list[str], wanted: str, place: str) -> SplitFiles:
    """The files of a split: the one that is wanted, else the only one, else `train`.

    Raises:
        DataError: there is none such; naming those that there are.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        groups.setdefault(split_of(name), []).append(name)
    wanted_config, _, wanted_split = wanted.rpartition("/")
    configs = sorted({config for config, _ in groups})
    config = wanted_config or next((each for each in ("", "default") if each in configs), configs[0])
    if not wanted_config and len(configs) > 1 and config not in ("", "default"):
        raise DataError(
            f"{place} has several configurations ({', '.join(configs)}); name one and a split, "
            f"as in {DATASETS}OWNER/NAME:{configs[0]}/train, or give files"
        )
    splits = sorted(split for each, split in groups if each == config)
    split = wanted_split or (splits[0] if len(splits) == 1 else DEFAULT_SPLIT)
    if (config, split) not in groups:
        there = ", ".join(f"{each}/{name}".lstrip("/") for each, name in sorted(groups))
        raise DataError(f"{place} has no split {split!r}; it has {there}")
    others = Counter({f"files of {name!r}": len(groups[config, name]) for name in splits if name != split})
    return SplitFiles(folder, groups[config, split], split, others)


def split_of(name: str) -> tuple[str, str]:
    """The configuration and the split that a file's path says; "" for what it does not say."""
    *folders, file = name.split("/")
    stem = file.rpartition(".")[0]
    folders = [folder for folder in folders if folder != "data"]
    numbered, named = _NUMBERED.fullmatch(stem), _NAMED.fullmatch(stem)
    if numbered or named:
        split = (numbered or named)[1]  # type: ignore[index]
    elif folders and _NAMED.fullmatch(folders[-1].removeprefix("partial-")):
        split = folders.pop().removeprefix("partial-")
    else:
        split = ""
    return "/".join(folders), split
