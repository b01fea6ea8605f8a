"""OpenCV's flow methods as the benchmarks compare with them."""

from typing import Any


def tv_l1(scales: int, warps: int, iterations: int) -> Any:
    """OpenCV's TV-L1 with the settings of the TVNet paper's solver and no median filter between warps."""
    import cv2

    optflow: Any = cv2.optflow
    method = optflow.DualTVL1OpticalFlow_create()
    method.setScalesNumber(scales)
    method.setScaleStep(0.5)
    method.setWarpingsNumber(warps)
    method.setOuterIterations(1)
    method.setInnerIterations(iterations)
    method.setMedianFiltering(1)
    method.setEpsilon(0.0)  # no early end
    return method


def default_methods() -> dict[str, Any]:
    """TV-L1 with OpenCV's own settings, DIS (medium) and Farneback."""
    import cv2

    optflow, plain = cv2.optflow, cv2  # type: Any, Any
    return {
        "TV-L1 defaults": optflow.DualTVL1OpticalFlow_create(),
        "DIS medium": plain.DISOpticalFlow_create(plain.DISOPTICAL_FLOW_PRESET_MEDIUM),
        "Farneback": plain.FarnebackOpticalFlow_create(
            numLevels=3, pyrScale=0.5, winSize=15, numIters=3, polyN=5, polySigma=1.2
        ),
    }
