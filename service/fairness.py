"""A queue that is fair between flows: however much one of them brings, the others get their share.

A flow is whoever brings work: a connection.
"""

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")

FORGET_ABOVE = 256
"""Flows that are remembered before those without work are dropped."""


class Entry(NamedTuple, Generic[Item]):
    """An item, and its place: the smaller, the sooner."""

    end: float
    number: int
    item: Item


class FairQueue(Generic[Key, Item]):
    """Items of several keys, of which each is taken in its own order. Not for several threads at once.

    In the queue's own time an item ends its cost after the item before it of its flow, or after now; what ends first is taken first,
    and then it is now. So an item of a new flow waits for about its own cost from each other flow, and no flow waits for ever.
    """

    def __init__(self) -> None:
        self._heaps: dict[Key, list[Entry[Item]]] = {}
        self._ends: dict[Hashable, float] = {}
        self._now, self._numbers = 0.0, itertools.count()

    def __len__(self) -> int:
        return sum(len(heap) for heap in self._heaps.values())

    def count(self, key: Key) -> int:
        """Items of a key."""
        return len(self._heaps.get(key, ()))

    def put(self, key: Key, flow: Hashable, cost: float, item: Item) -> None:
        """An item that costs so much, in any unit that all share."""
        end = max(self._now, self._ends.get(flow, 0.0)) + cost
        self._ends[flow] = end
        heapq.heappush(self._heaps.setdefault(key, []), Entry(end, next(self._numbers), item))

    def first(self) -> Key:
        """The key of the item that is next; there must be one."""
        return min(self._heaps, key=lambda key: self._heaps[key][0])

    def pop(self, key: Key) -> Entry[Item]:
        """The next item of a key that has one."""
        heap = self._heaps[key]
        entry = heapq.heappop(heap)
        self._now = max(self._now, entry.end)
        if not heap:
            del self._heaps[key]
        if not self._heaps:
            self._ends.clear()
        elif len(self._ends) > FORGET_ABOVE and len(self._ends) > 2 * len(self):
            self._ends = {flow: end for flow, end in self._ends.items() if end > self._now}
        return entry

    def put_back(self, key: Key, entry: Entry[Item]) -> None:
        """What was popped and not used, at its place."""
        heapq.heappush(self._heaps.setdefault(key, []), entry)
