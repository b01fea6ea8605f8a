"""Items made in a thread of their own while the ones before them are worked on."""

from collections.abc import Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
TICK = 0.1  # seconds between two looks at whether to stop
FAREWELL = 2.0  # seconds given to the thread; one that waits for a camera or a server ends with the process


class _End:
    """The last thing in the queue; ``error`` is what ended the items, None at their end."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class ReadAhead(Generic[T]):
    """At most ``size`` items of an iterator, waiting in the order they came; ``stopped`` is set on leaving."""

    def __init__(self, items: Iterator[T], size: int, stopped: Event) -> None:
        self._queue: Queue[T | _End] = Queue(size)
        self._stopped = stopped
        self._thread = Thread(target=self._read, args=(items,), daemon=True)

    def __enter__(self) -> "ReadAhead[T]":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._stopped.set()
        self._thread.join(FAREWELL)

    def batches(self, size: int, *, full: bool) -> Iterator[list[T]]:
        """Up to ``size`` items at a time: ``full`` batches but for the last, or what is there, at least one.

        Raises:
            Exception: what the items ended with, after the last of them.
        """
        ended: _End | None = None
        while ended is None:
            batch: list[T] = []
            while len(batch) < size and ended is None:
                try:
                    item = self._queue.get(block=full or not batch)
                except Empty:
                    break
                if isinstance(item, _End):
                    ended = item
                else:
                    batch.append(item)
            if batch:
                yield batch
        if ended.error is not None:
            raise ended.error

    def _read(self, items: Iterator[T]) -> None:
        error: Exception | None = None
        try:
            for item in items:
                if not self._put(item):
                    break
        except Exception as caught:  # raised where the items are asked for
            error = caught
        finally:
            del items  # closes what it holds open, in the thread that read from it
        self._put(_End(error))

    def _put(self, item: "T | _End") -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=TICK)
            except Full:
                continue
            return True
        return False
