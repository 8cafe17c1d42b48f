"""The files that the argument of a source stands for."""

from models.errors import DataError
from models.images import storage
from models.images.patterns import expand, fixed_part, is_pattern


def files_of(argument: str, suffix: str) -> tuple[list[str], list[str]]:
    """The files that a path, a folder (all below it with the suffix) or a pattern stands for, and their names in it.

    Names are relative to the folder, or to the fixed part of the pattern; a file alone has its own name.

    Raises:
        DataError: there is none.
    """
    if is_pattern(argument) and (storage.is_url(argument) or not storage.exists(argument)):
        root = fixed_part(argument)
        places = expand(argument)
        return places, [_relative(place, root) for place in places]
    if storage.is_folder(argument):
        names = [name for name in storage.files_below(argument) if name.lower().endswith(suffix)]
        if not names:
            raise DataError(f"there is no file *{suffix} in {storage.shown_place(argument)!r}")
        return [storage.join(argument, name) for name in names], names
    return [argument], [storage.name_of(argument)]


def _relative(place: str, root: str) -> str:
    place, root = (storage.shown_place(each).replace("///", "//") for each in (place, root))
    return place.removeprefix(root).lstrip("/") if place.startswith(root) else storage.name_of(place)
