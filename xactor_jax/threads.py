"""Threads inside NumPy and OpenCV."""

from __future__ import annotations

import cv2
from threadpoolctl import threadpool_limits


def use_one_thread() -> None:
    """Has NumPy's products and OpenCV stay in the calling thread, from now on and in this process.

    Where products are small, threads that wait for each other cost more than the work: heads are drawn with twice the processor
    time. Where every core has a process of its own, there is nothing for them to do.
    """
    cv2.setNumThreads(1)
    threadpool_limits(1, "blas")
