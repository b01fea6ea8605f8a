"""Where crops lie: centre, three, ten, and the thirteen places of TSN's training crops. Boxes are (x, y)."""

import math

# TSN's fixed crop places, in quarters of the room: corners, centre, edges, and the four inner ones.
CORNER_PLACES = (
    (0, 0), (4, 0), (0, 4), (4, 4), (2, 2), (0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3),
)  # fmt: skip
SCALES = (1.0, 0.875, 0.75, 0.66)  # of the short side (TSN, RGB); flow leaves the last one out
SNAP = 3  # a crop this near to the network's input, in pixels, is taken at exactly that size


def centre_place(width: int, height: int, size: int) -> tuple[int, int]:
    """The centre square, rounded as torchvision does."""
    return round((width - size) / 2), round((height - size) / 2)


def three_places(width: int, height: int, size: int) -> list[tuple[int, int]]:
    """Three squares along the longer side, from edge to edge (PySlowFast)."""
    x, y = math.ceil((width - size) / 2), math.ceil((height - size) / 2)
    if height > width:
        return [(x, 0), (x, y), (x, height - size)]
    return [(0, y), (x, y), (width - size, y)]


def five_places(width: int, height: int, size: int) -> list[tuple[int, int]]:
    """Corners and centre (TSM, TSN); with their mirrors these are the ten crops."""
    x, y = (width - size) // 4, (height - size) // 4
    return [(0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y)]


def multi_scale_sizes(width: int, height: int, size: int, scales: tuple[float, ...] = SCALES) -> list[tuple[int, int]]:
    """Widths and heights of TSN's training crops: two scales of the short side at most one step apart."""
    base = min(width, height)
    sides = [size if abs(int(base * scale) - size) < SNAP else int(base * scale) for scale in scales]
    return [(sides[j], sides[i]) for i in range(len(sides)) for j in range(len(sides)) if abs(i - j) <= 1]


def multi_scale_places(width: int, height: int, crop_width: int, crop_height: int) -> list[tuple[int, int]]:
    """The thirteen places of a crop of this size."""
    x, y = (width - crop_width) // 4, (height - crop_height) // 4
    return [(x * column, y * row) for column, row in CORNER_PLACES]
