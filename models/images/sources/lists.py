"""`list:FILE`: a text file with a path or URL a line, then a tab and a class where there is one."""

from models.images.sources.base import BY_BYTES, ListOptions
from models.images.sources.encoded import EncodedImages
from models.images.sources.labels import label_value
from models.images.sources.references import Reference, open_references
from models.progress import Progress, no_progress

COMMENT = "#"


def open_list(argument: str, _: ListOptions = BY_BYTES, progress: Progress = no_progress) -> EncodedImages:
    """The images of a list, in its order. Paths are relative to its folder; empty lines and those after `#` are ignored.

    Raises:
        DataError: it cannot be read, or names no images.
    """
    return open_references(argument, parse_line, progress)


def parse_line(line: bytes, number: int) -> Reference | str:
    """See `Parse`."""
    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    place, _, label = text.partition("\t")
    if not place.strip() or text.startswith(COMMENT):
        return "lines without a path"
    label = label.partition("\t")[0].strip()
    return Reference(place, None, int(label) if _is_integer(label) else label_value(label))


def _is_integer(text: str) -> bool:
    return len(text) < 19 and text.isascii() and text.removeprefix("-").isdecimal()
