"""Numbers about numbers: medians, percentiles, and ratios that are fair on a machine with other work to do."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` (0 to 1) of them do not exceed: a value that was measured.

    The nearest-rank definition. Raises ValueError where there are no values.
    """
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    return percentile(values, 0.95)


def paired_ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """The median over rounds of slower / faster: how many times faster the second is.

    The two values of a round are taken right after each other, so what else the machine does weighs on both.
    """
    return median([a / b for a, b in zip(slower, faster, strict=True)])
