"""Number of threads inside NumPy and OpenCV."""

from __future__ import annotations

import cv2
from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Limits NumPy's matrix products and OpenCV to the calling thread, for the rest of this process.

    For small products, threads that wait for each other cost more than the work: drawing heads takes twice the processor time.
    If every core has its own process, more threads have nothing to do.
    """
    cv2.setNumThreads(1)
    threadpool_limits(1, "blas")
