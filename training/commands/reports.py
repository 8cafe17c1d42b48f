"""What commands say on stderr of the images that they did not use."""

import sys
from collections.abc import Sequence

from models.images.sources.base import Source
from models.terminal import printable

MAX_NAMED = 20
"""How many unreadable images are named; more are counted."""


def report_skipped(source: Source) -> None:
    """What a source holds besides its images, by reason."""
    if source.skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(source.skipped.items()))
        print(printable(f"left out of {source.description}: {reasons}"), file=sys.stderr)


def report_unreadable(unreadable: Sequence[str], images: int) -> None:
    """The images of a source that could not be read, one sentence each."""
    if not unreadable:
        return
    print(f"{len(unreadable):,} of {images:,} images were left out:", file=sys.stderr)
    for sentence in unreadable[:MAX_NAMED]:
        print(printable(f"  {sentence}"), file=sys.stderr)
    if len(unreadable) > MAX_NAMED:
        print(f"  and {len(unreadable) - MAX_NAMED:,} more", file=sys.stderr)
