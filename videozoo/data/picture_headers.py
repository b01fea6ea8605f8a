"""What every kind of picture header is read with, and read to."""

from typing import NamedTuple


class UnclearError(Exception):
    """A stream about which its headers do not prove enough; it may well decode."""


class Picture(NamedTuple):
    """The header of one picture: ``order`` (of display) counts within the pictures from one reset to the next.

    A reset shows all earlier pictures before this one, and neither it nor any later picture needs an earlier one.
    """

    resets: bool
    referred_to: bool
    order: int


class Bits:
    """The bits of some bytes, most significant first.

    Raises:
        UnclearError: when more is taken than there is.
    """

    def __init__(self, data: bytes) -> None:
        self._left = 8 * len(data)
        self._value = int.from_bytes(data, "big")

    def take(self, count: int) -> int:
        """An unsigned number of ``count`` bits."""
        self._left -= count
        if self._left < 0:
            raise UnclearError("a header ends early")
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """An unsigned number in Exp-Golomb code."""
        ahead = self._value & (1 << self._left) - 1
        zeros = self._left - ahead.bit_length()
        self._left -= zeros
        return self.take(zeros + 1) - 1
