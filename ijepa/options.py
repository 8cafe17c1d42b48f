"""Options of an embedding, checked before any image is read."""

from typing import get_args

from models.errors import OptionError, short_repr
from models.images.preprocess import Fit
from service.operations.base import DType, EmbedOptions, Output


def embed_options(output: Output, pooling: str | None, normalize: bool, dtype: DType, fit: Fit | None) -> EmbedOptions:
    """The record of the options.

    Raises:
        OptionError: a value that no bundle has.
    """
    check_choice("output", output, get_args(Output))
    check_choice("dtype", dtype, get_args(DType))
    check_fit(fit)
    return EmbedOptions(output, pooling, normalize, dtype, fit)


def check_fit(fit: Fit | None) -> None:
    """`crop`, `squash`, or None for the bundle's own.

    Raises:
        OptionError
    """
    if fit is not None:
        check_choice("fit", fit, get_args(Fit))


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """A value that is one of a few words.

    Raises:
        OptionError
    """
    if value not in choices:
        raise OptionError(f"{name} is {short_repr(value)}, expected {' or '.join(map(repr, choices))}", name)


def check_positive(name: str, value: object) -> None:
    """A whole number of at least 1.

    Raises:
        OptionError
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name} is {short_repr(value)}, expected a whole number of at least 1", name)


def check_masks(masks: int | None, seed: int) -> None:
    """The number of draws of an energy map (None: as many as are needed) and their seed.

    Raises:
        OptionError
    """
    if masks is not None:
        check_positive("masks", masks)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise OptionError(f"seed is {short_repr(seed)}, expected a whole number of at least 0", "seed")
