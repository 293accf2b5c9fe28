# SPDX-License-Identifier: Apache-2.0
"""A short form of bench/imgforge_soak.py: mixed requests, errors and clients that leave, after which imgforge has answered each as it should, has
no descriptor more than before, and ends cleanly. The bench, which runs long enough for it, judges memory to 5 %; here only that it does not
double while the same things are asked again and again (libvips' codecs and the allocator still warm up)."""
import os
import sys

from harness import SCALE, Skip, TOP

sys.path.insert(0, os.path.join(TOP, "bench"))
from imgforge_soak import soak  # noqa: E402

IMGFORGE = os.environ.get("IMGFORGE", os.path.join(TOP, "build/release/services/imgforge/imgforge"))


def test_mixed_requests_leave_nothing_behind():
    if not os.path.exists(IMGFORGE):
        raise Skip("imgforge is not built")
    rows, wrong, before, after, code = soak(IMGFORGE, int(800 * SCALE), 8, "hybrid")
    assert not wrong, wrong[:10]
    assert after <= before + 2, (before, after)  # what is opened when it is first needed
    assert code == 0, code
    assert rows[-1][0] < 2 * rows[1][0], rows
