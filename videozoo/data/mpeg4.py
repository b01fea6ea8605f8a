"""What the header of an MPEG-4 part 2 picture (XviD, as in UCF101) says without decoding it.

ISO/IEC 14496-2, sections 6.2.3 (video object layer) and 6.2.5 (video object plane). Only progressive streams of whole
pictures that refer to their predecessor or to none are understood; the rest is UnclearError. They are displayed as
decoded.
"""

import re

from videozoo.data.picture_headers import Bits, Picture, UnclearError

START = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
LAYERS = range(0x20, 0x30)  # start codes
PICTURE = 0xB6
HARMLESS = frozenset({0xB0, 0xB2, 0xB3, 0xB5}) | frozenset(range(0x20))  # sequence, user data, group, object
INTRA, PREDICTED = 0, 1
HEADER_BYTES = 24  # hold every field that is read of a picture
EXTENDED_ASPECT = 15


class Mpeg4Headers:
    """Reads the packets of one stream; ``extradata`` holds the layer's header, from its container or first packet.

    Raises:
        UnclearError: for a stream that is interlaced, shaped, or of a kind that is not understood.
    """

    def __init__(self, extradata: bytes) -> None:
        layers = [unit for code, unit in _units(extradata) if code in LAYERS]
        if len(layers) != 1:
            raise UnclearError("not one layer")
        self._layer = layers[0]
        self._time_bits = _read_layer(self._layer)
        self._place = 0

    def read(self, packet: memoryview) -> Picture:
        """The header of the one picture that a packet holds.

        Raises:
            UnclearError: where the packet is damaged, holds another number of pictures, or one of another type.
        """
        pictures = []
        for code, unit in _units(bytes(packet)):
            if code == PICTURE:
                pictures.append(self._read_picture(unit))
            elif unit != self._layer and code not in HARMLESS:
                raise UnclearError("units of another kind, or parameters that change")
        if len(pictures) != 1:
            raise UnclearError("not one picture in a packet")
        resets = pictures[0] == INTRA
        self._place = 0 if resets else self._place + 1
        return Picture(resets, referred_to=True, order=self._place)

    def _read_picture(self, unit: bytes) -> int:
        """The type of a picture, of which everything that a decoder checks must be sound."""
        bits = Bits(unit[:HEADER_BYTES])
        kind = bits.take(2)
        while bits.take(1):  # whole seconds since the last picture
            pass
        marker, _, second, coded = bits.take(1), bits.take(self._time_bits), bits.take(1), bits.take(1)
        if kind == PREDICTED:
            bits.take(1)  # rounding
        bits.take(3)  # where the coding of DC coefficients changes
        quantizer = bits.take(5)
        reach = bits.take(3) if kind == PREDICTED else 1
        if kind not in (INTRA, PREDICTED) or not (marker and second and coded and quantizer and reach):
            raise UnclearError("a picture that is left out, damaged, or refers to two others")
        return kind


def _units(data: bytes) -> list[tuple[int, bytes]]:
    """Start codes and what follows each up to the next."""
    starts = list(START.finditer(data))
    ends = [*(match.start() for match in starts[1:]), len(data)]
    return [(match[1][0], data[match.end() : end]) for match, end in zip(starts, ends, strict=False)]


def _read_layer(unit: bytes) -> int:
    """Bits of a picture's time within its second."""
    bits = Bits(unit)
    bits.take(9)  # random access, type
    version = 1
    if bits.take(1):
        version = bits.take(4)
        bits.take(3)  # priority
    if bits.take(4) == EXTENDED_ASPECT:
        bits.take(16)
    if bits.take(1):  # chroma format, low delay, buffer sizes
        bits.take(3)
        if bits.take(1):
            bits.take(79)
    shape, _, resolution = bits.take(2), bits.take(1), bits.take(16)
    time_bits = max(1, (resolution - 1).bit_length())
    bits.take(1)
    if bits.take(1):  # a fixed rate
        bits.take(time_bits)
    bits.take(29)  # width and height between markers
    interlaced, _, sprite, deeper = bits.take(1), bits.take(1), bits.take(1 if version == 1 else 2), bits.take(1)
    if resolution == 0 or shape or interlaced or sprite or deeper:
        raise UnclearError("interlaced, shaped, with sprites, or not of eight bits")
    return time_bits
