"""Two thin dense layers in place of a large one (Denton et al. 2014)."""

import numpy as np
from sklearn.utils.extmath import randomized_svd

from squeezenet.weights import check_finite


def factorise(kernel, ratio):
    """Truncated SVD of a dense kernel: two factors with `ratio` times fewer weights (Denton et al. 2014).

    Args:
        kernel: (inputs, outputs).
        ratio: of the kernel's weights to those of both factors. From 64 on, `load` may refuse the file.

    Returns:
        (inputs, rank) and (rank, outputs), float32; the rank is at least 1.

    Raises:
        ValueError: the ratio is not positive and finite, or a weight is not finite.
    """
    if not 0 < ratio < np.inf:
        raise ValueError(f"ratio must be positive and finite. Received: {ratio}")
    check_finite({"kernel": kernel})
    rank = max(1, int(kernel.size / (ratio * sum(kernel.shape))))
    left, scale, right = randomized_svd(kernel, rank, random_state=0)
    root = np.sqrt(scale)
    return (left * root).astype(np.float32), (root[:, None] * right).astype(np.float32)
