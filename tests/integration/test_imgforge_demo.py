# SPDX-License-Identifier: Apache-2.0
"""`make demo-imgforge`: every query of the dashboard has data, in Belfry and in Prometheus. That this takes less than a minute is for
`scripts/demo-imgforge --check` to say: a test has no deadline that a busy machine could miss."""
import os
import re
import sys

from harness import TOP, Skip, folder, need, run

sys.path.insert(0, os.path.join(TOP, "scripts"))
from imgforge_demo import stack  # noqa: E402


def test_every_panel_of_the_demo_has_data():
    need("prometheus")
    if not os.path.exists(stack.IMGFORGE):
        raise Skip("imgforge is not built")
    with folder() as path:
        status, out, err = run(sys.executable, os.path.join(TOP, "scripts/demo-imgforge"), "--check", "--within", "180", "--folder", path, timeout=400)
    assert status == 0, out[-6000:] + err[-3000:]
    assert re.match(r"\s*Belfry\s+Prometheus\s", out), out[:200]
    assert out.count("\n") > len(stack.dashboard()) > 30, out
    for code in ("200", "304", "400", "403", "404"):
        assert re.search(r"answers so far:.*\b%s: [1-9]" % code, out), out[-300:]
