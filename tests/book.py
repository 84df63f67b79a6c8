"""What the differ writes to, in memory."""

import itertools
from contextlib import contextmanager


def random_bytes(first=1):
    """Bytes that are others each time, and the same in each run."""
    numbers = itertools.count(first)
    return lambda count: next(numbers).to_bytes(count, "big")


class Book(dict):
    """A ledger in memory."""

    def get(self, kind, key):
        return super().get((kind, key))

    def put(self, kind, key, blob):
        self[kind, key] = blob

    def delete(self, kind, key):
        self.pop((kind, key), None)

    def scan(self, kind):
        return iter(sorted((key, blob) for (one, key), blob in self.items() if one == kind))

    @contextmanager
    def outside(self):
        yield self
