"""`folder:URL`, or just `URL`: all files below a folder of a store that are named like images; the first folder is a class."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from models.images import storage
from models.images.preprocess import IMAGE_SUFFIXES
from models.images.sources.encoded import EncodedImages, digest_of_files, no_images
from models.images.sources.files import kind_of_file
from models.images.sources.labels import labels_of_values
from models.images.sources.strings import Strings
from models.progress import Progress, no_progress

LISTED_TOGETHER = 16
"""Folders that are listed at the same time."""


class RemotePlaces:
    """Files of a store, relative to a folder."""

    def __init__(self, folder: str, names: Strings) -> None:
        self.folder, self.names = folder, names

    def place(self, index: int) -> str:
        """Where one image is."""
        return storage.join(self.folder, self.names[index])

    def uri(self, index: int) -> str:
        """See `Places.uri`."""
        return storage.shown_place(self.place(index))

    def read(self, index: int) -> bytes:
        """See `Places.read`."""
        return storage.read(self.place(index))

    def digest(self) -> str:
        """A digest of all images."""
        return digest_of_files([self.place(i) for i in range(len(self.names))])


def open_remote_folder(url: str, progress: Progress = no_progress) -> EncodedImages:
    """The images of a folder, sorted by path as in a local folder, or one image. Files are not opened to tell what they are.

    Raises:
        DataError: the store cannot be read, or there are no images.
    """
    if not storage.is_folder(url) and storage.name_of(url):
        folder, names = storage.parent_of(url), Strings([url.rpartition("/")[2]])
        places = RemotePlaces(folder, names)
        storage.size_of(url)
        return EncodedImages(names, places, f"a file named {storage.name_of(url)!r}", partial(digest_of_files, [url]))
    skipped, found = Counter[str](), []
    with progress(0, f"listing {storage.shown_place(url)}", "files") as stage:
        top = storage.entries(url)
        folders = [entry.name for entry in top if entry.is_folder]
        names_of_top = [entry.name for entry in top if not entry.is_folder]
        with ThreadPoolExecutor(LISTED_TOGETHER) as pool:
            below = pool.map(lambda name: [f"{name}/{each}" for each in _files(url, name)], folders)
            for each in (names_of_top, *below):
                stage.update(len(each))
                for name in each:
                    kind = kind_of_file(name)
                    if kind in IMAGE_SUFFIXES:
                        found.append(name)
                    else:
                        skipped[kind] += 1
    if not found:
        raise no_images(storage.shown_place(url), skipped)
    names = Strings(sorted(found, key=lambda name: name.split("/")))
    places = RemotePlaces(url, names)
    labels = labels_of_values(name.partition("/")[0] if "/" in name else "" for name in names)
    return EncodedImages(
        names,
        places,
        f"a folder named {storage.name_of(url)!r}",
        places.digest,
        labels if len(labels.classes) > 1 else labels._replace(numbers=None),
        skipped,
    )


def _files(url: str, name: str) -> list[str]:
    return storage.files_below(storage.join(url, name))
