"""Many short texts in little memory: the ids and places of a million images."""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int64, UInt8


class StringsBuilder:
    """Texts that come one by one."""

    def __init__(self) -> None:
        self.content, self.ends = bytearray(), array("q", [0])

    def append(self, text: str) -> None:
        """Add one at the end."""
        self.content += text.encode(errors="surrogateescape")
        self.ends.append(len(self.content))

    def build(self) -> "Strings":
        """All of them."""
        content = np.frombuffer(bytes(self.content), dtype=np.uint8)
        return Strings.from_arrays(content, np.array(self.ends, dtype=np.int64))


class Strings:
    """A fixed list of texts as one block of bytes: about 9 bytes beside each, where a Python string takes 50.

    Names of files that are not UTF-8 are kept as Python keeps them (`surrogateescape`).
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        builder = StringsBuilder()
        for text in texts:
            builder.append(text)
        self.content, self.ends = bytes(builder.content), np.array(builder.ends, dtype=np.int64)
        self._order: tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]] | None = None

    @classmethod
    def from_arrays(cls, content: UInt8[np.ndarray, " b"], ends: Int64[np.ndarray, " n1"]) -> "Strings":
        """What `content` and `ends` of another were."""
        made = cls()
        made.content, made.ends = content.tobytes(), ends
        return made

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_order": None}  # hashes of texts are those of this process

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> str:
        index = range(len(self))[index]
        return self.content[self.ends[index] : self.ends[index + 1]].decode(errors="surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Int64[np.ndarray, " m"]) -> "Strings":
        """Some of them, in the given order."""
        if np.array_equal(indices, np.arange(len(self))):
            return self
        return Strings(self[int(index)] for index in indices)

    def find(self, text: str) -> int | None:
        """The index of a text; the first where there are several."""
        hashes, order = self._hashed()
        wanted = hash(text)
        position = int(np.searchsorted(hashes, wanted))
        while position < len(hashes) and hashes[position] == wanted:
            if self[int(order[position])] == text:
                return int(order[position])
            position += 1
        return None

    def first_of_each(self) -> Int64[np.ndarray, " m"]:
        """The indices of texts that were not there before."""
        hashes, order = self._hashed()
        equal = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
        repeated = {int(order[i]) for i in equal if self.find(self[int(order[i])]) != order[i]}
        if not repeated:
            return np.arange(len(self))
        return np.setdiff1d(np.arange(len(self)), np.fromiter(repeated, dtype=np.int64))

    def _hashed(self) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """The hash of each in ascending order, and their indices; equal ones in the order of the texts."""
        if self._order is None:
            hashes = np.fromiter((hash(text) for text in self), dtype=np.int64, count=len(self))
            order = np.argsort(hashes, kind="stable")
            self._order = (hashes[order], order)
        return self._order
