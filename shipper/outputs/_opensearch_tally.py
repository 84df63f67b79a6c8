"""The account of one batch: each of its documents is delivered, refused, forked or pending."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.model import Document, Receipt, Refusal


class Tally:
    """What has become of each document of a batch.

    As long as every answer is the usual one, the documents that are there are the first of the batch and one number
    tells; `pending` is made when it has to be known of each by itself.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self.total = len(documents)
        self.refused: list[Refusal] = []
        self.fork: list[Document] = []
        self.accepted = 0
        self._documents = documents
        self._first = 0
        """Where what is not there yet begins, before `pending` is made."""
        self._pending: dict[str, Document] | None = None

    @property
    def pending(self) -> dict[str, Document]:
        """What is not decided, by id and in order."""
        if self._pending is None:
            self._pending = {document.id: document for document in self._documents[self._first :]}
        return self._pending

    def left(self) -> Sequence[Document]:
        """What is not decided, in order."""
        return self._documents[self._first :] if self._pending is None else tuple(self._pending.values())

    def settle(self, document: Document) -> None:
        """It is there."""
        if self.pending.pop(document.id, None) is not None:
            self.accepted += 1

    @property
    def first(self) -> int:
        """Where in the batch what is left begins, as far as it is known to be one piece."""
        return self._first

    def settle_all(self, start: int, documents: Sequence[Document]) -> None:
        """All of them, which stand one after the other in the batch from `start` on, are there."""
        if self._pending is None and start == self._first:
            self._first += len(documents)
            self.accepted += len(documents)
            return
        for document in documents:
            self.settle(document)

    def refuse(self, refusal: Refusal) -> None:
        """It will never be there."""
        if self.pending.pop(refusal.document.id, None) is not None:
            self.refused.append(refusal)

    def conflict(self, document: Document) -> None:
        """Another document has its id."""
        if self.pending.pop(document.id, None) is not None:
            self.fork.append(document)

    def receipt(self, error: str = "", pause: float | None = None) -> Receipt:
        """The account: whatever is not decided is to be sent again."""
        retry = self.left()
        delivered = self.total - len(retry) - len(self.refused) - len(self.fork)
        return Receipt(delivered, self.refused, retry, error if retry else "", pause if retry else None, self.fork)
