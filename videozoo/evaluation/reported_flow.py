"""End-point errors on the eight Middlebury pairs as the TVNet paper reports them (table 1), in pixels.

TVNet's untrained rows come out 1.1 to 1.25 times higher here, in the same order, although the authors' published
program gives the same flow as ours on the same frames: how the paper prepared its pictures is not said.
"""

SOURCE = "Fan et al., End-to-End Learning of Motion Representation for Video Understanding, CVPR 2018, table 1"

TVNET: dict[str, dict[str, float]] = {
    "10": {"nothing": 3.47, "u0": 2.92, "all": 1.24},
    "30": {"nothing": 3.01, "u0": 2.04, "all": 0.40},
    "3-1-10": {"nothing": 2.00, "u0": 0.82, "all": 0.52},
    "1-3-10": {"nothing": 2.81, "u0": 2.17, "all": 0.46},
    "50": {"nothing": 2.93, "u0": 1.58, "all": 0.35},
}

TV_L1: dict[str, float] = {"10": 3.48, "30": 3.02, "50": 2.86, "3-1-10": 1.79, "1-3-10": 2.74, "5-5-50": 0.66}
