"""What the header of an H.264 picture says without decoding it: its order of display, and what refers to it.

Rec. ITU-T H.264, sections 7.3.2.1.1 (sequence parameter set), 7.3.3 (slice header), 7.4.3 and 8.2.1 (picture numbers
and order counts). Only progressive streams whose headers leave no doubt are understood; the rest is UnclearError.
"""

from collections.abc import Iterator

from videozoo.data.picture_headers import Bits, Picture, UnclearError

SLICE, IDR_SLICE, SEQUENCE = 1, 5, 7  # types of units; IDR: nothing before this picture is referred to after it
SLICES = frozenset({SLICE, IDR_SLICE})
KNOWN = SLICES | {SEQUENCE, 6, 8, 9, 12}  # also supplementary information, picture parameters, delimiter, filler
HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
HEADER_BYTES = 24  # hold every field that is read of a slice


class H264Headers:
    """Reads the packets of one stream in decoding order; ``extradata`` is the avcC record of its container.

    Raises:
        UnclearError: for a stream that is interlaced, layered, or of a kind that is not understood.
    """

    def __init__(self, extradata: bytes) -> None:
        if len(extradata) < 8 or extradata[0] != 1 or extradata[5] & 0x1F != 1:
            raise UnclearError("not one sequence of length-prefixed units")
        self._prefix = (extradata[4] & 3) + 1  # bytes of a unit's length
        self._sequence = extradata[8 : 8 + int.from_bytes(extradata[6:8], "big")]
        self._number_bits, self._order_bits = _read_sequence(self._sequence)
        self._place = 0  # of the picture in decoding order since the reset
        self._number = 0  # frame_num that the next picture must have
        self._order = 0  # of the last picture that others refer to

    def read(self, packet: memoryview) -> Picture:
        """The header of the one picture that a packet holds.

        Raises:
            UnclearError: where the packet is damaged, holds another number of pictures, or breaks the numbering.
        """
        slices = [unit for unit in self._units(packet) if unit[0] & 0x1F in SLICES]
        if not slices or len({unit[0] for unit in slices}) > 1:
            raise UnclearError("not one picture in a packet")
        resets, referred_to = slices[0][0] & 0x1F == IDR_SLICE, bool(slices[0][0] & 0x60)
        first_blocks, fields = zip(*(self._read_slice(unit, resets=resets) for unit in slices), strict=True)
        if first_blocks[0] != 0 or list(first_blocks) != sorted(set(first_blocks)) or len(set(fields)) > 1:
            raise UnclearError("slices of several pictures in a packet")
        _, number, low = fields[0]
        return self._count(number, low, resets=resets, referred_to=referred_to)

    def _units(self, packet: memoryview) -> Iterator[bytes]:
        """The beginning of every unit; the lengths must add up to the packet."""
        place = 0
        while place < len(packet):
            length = int.from_bytes(packet[place : place + self._prefix], "big")
            place += self._prefix
            unit = bytes(packet[place : place + min(length, HEADER_BYTES)])
            place += length
            if not unit or place > len(packet) or unit[0] & 0x80:
                raise UnclearError("lengths of units do not add up")
            kind = unit[0] & 0x1F
            if kind == SEQUENCE and bytes(packet[place - length : place]) != self._sequence:
                raise UnclearError("the sequence parameters change")
            if kind not in KNOWN:
                raise UnclearError("units of another kind")
            yield unit

    def _read_slice(self, unit: bytes, *, resets: bool) -> tuple[int, tuple[int, int, int]]:
        """First block of a slice; identity of its picture: parameters, number, order count (low bits)."""
        bits = _unit_bits(unit)
        first_block, kind, parameters, number = (
            bits.golomb(),
            bits.golomb(),
            bits.golomb(),
            bits.take(self._number_bits),
        )
        if kind > 9 or (resets and kind not in (2, 4, 7, 9)):
            raise UnclearError("a slice of no known type")
        if resets:
            bits.golomb()  # idr_pic_id
        return first_block, (parameters, number, bits.take(self._order_bits))

    def _count(self, number: int, low: int, *, resets: bool, referred_to: bool) -> Picture:
        """The order of display, by sections 8.2.1.1 and 8.2.1.3; no number may be missing."""
        if resets:
            self._place, self._number, self._order = 0, 0, 0
        if number != self._number or (resets and not referred_to):
            raise UnclearError("a gap in the numbering of pictures")
        if self._order_bits:
            cycle = 1 << self._order_bits
            order = self._order + (low - self._order + cycle // 2) % cycle - cycle // 2
            if order == self._order - cycle // 2:  # just half a cycle away counts as ahead
                order += cycle
        else:
            order = self._place  # displayed as decoded
        self._place += 1
        if referred_to:
            self._number = (number + 1) % (1 << self._number_bits)
            self._order = order
        return Picture(resets, referred_to, order)


def _unit_bits(unit: bytes) -> Bits:
    """The bits of a unit after its first byte, bytes that only prevent start codes left out."""
    return Bits(unit[1:].replace(b"\0\0\3", b"\0\0"))


def _read_sequence(unit: bytes) -> tuple[int, int]:
    """Bits of a picture's number, and of its order count's lower part (0: pictures are displayed as decoded)."""
    bits = _unit_bits(unit)
    profile = bits.take(8)
    bits.take(16)  # constraints, level
    bits.golomb()  # its own number
    if profile in HIGH_PROFILES:
        if bits.golomb() == 3 and bits.take(1):
            raise UnclearError("colour planes coded apart")
        bits.golomb(), bits.golomb(), bits.take(1)  # bit depths, lossless transform
        if bits.take(1):
            raise UnclearError("scaling lists of its own")
    number_bits = bits.golomb() + 4
    order_type = bits.golomb()
    order_bits = bits.golomb() + 4 if order_type == 0 else 0
    if order_type == 1:
        raise UnclearError("order counts of type 1")
    bits.golomb(), bits.take(1), bits.golomb(), bits.golomb()  # references, gaps allowed, width, height
    if not bits.take(1):
        raise UnclearError("interlaced pictures are possible")
    return number_bits, order_bits
