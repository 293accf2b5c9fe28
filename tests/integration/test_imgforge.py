# SPDX-License-Identifier: Apache-2.0
"""imgforge as its users meet it: the real program, an origin of the test's own. Hostile clients and origins: test_imgforge_hostile.py;
pictures against libvips' own: test_imgforge_reference.py."""
from harness import folder
from imgforge_subject import Imgforge, Origin, png, size_of


def test_a_picture_is_made_once_and_then_comes_from_memory():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory") as f:
        source = origin.add("/a.png", png(300, 200))
        for state in ("MISS", "HIT", "HIT"):
            status, headers, body = f.image("rs:fit:100:100", source, "jpeg")
            assert status == 200 and size_of(body) == (100, 67), (status, headers)
            assert headers["content-type"] == "image/jpeg" and headers["cache-status"] == state, headers
            assert int(headers["content-length"]) == len(body)
        assert origin.asked("/a.png") == 1
