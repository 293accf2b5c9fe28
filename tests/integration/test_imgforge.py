# SPDX-License-Identifier: Apache-2.0
"""imgforge as its users meet it: the real program, an origin of the test's own. Hostile clients and origins: test_imgforge_hostile.py;
pictures against libvips' own: test_imgforge_reference.py."""
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import threading
import time

from harness import Belfry, Skip, folder, free_port, need, wait_for
from imgforge_subject import (IMGFORGE, KEY, SALT, Imgforge, Origin, encoded, imgforge_environment, plain, png, sign, size_of,
                              unsafe)

HTTP_KEYS = ["ts", "level", "event", "request_id", "endpoint", "method", "status_code", "duration_ms", "success",
             "error_code", "bytes_in", "bytes_out"]


# ---- pictures, information, paths ----

def test_a_picture_is_made_once_and_then_comes_from_memory():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory") as f:
        source = origin.add("/a.png", png(300, 200))
        for state in ("MISS", "HIT", "HIT"):
            status, headers, body = f.image("rs:fit:100:100", source, "jpeg")
            assert status == 200 and size_of(body) == (100, 67), (status, headers)
            assert headers["content-type"] == "image/jpeg" and headers["cache-status"] == state, headers
            assert int(headers["content-length"]) == len(body)
        assert origin.asked("/a.png") == 1
        status, headers, body = f.ask(unsafe("rs:fit:100:100", source, "jpeg"), method="HEAD")
        assert (status, headers["cache-status"], body) == (200, "HIT", b""), headers
        # another way to say the same, and what no result depends on
        for path in (unsafe("resize:fit:100:100/fn:x.jpg", source, "jpg"), "/unsafe/rs:fit:100:100/f:jpeg/" + encoded(source),
                     unsafe("rs:fit:100:100", source, "jpeg") + "?utm=%zz"):
            assert f.ask(path)[1]["cache-status"] == "HIT", path
        assert f.image("rs:fit:100:100/cb:2", source, "jpeg")[1]["cache-status"] == "MISS"


def test_formats_raw_and_skipped_processing():
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        bytes_ = png(40, 30)
        source = origin.add("/a.png", bytes_)
        for extension, kind in (("", "image/png"), ("png", "image/png"), ("jpg", "image/jpeg"), ("webp", "image/webp"),
                                ("gif", "image/gif"), ("tiff", "image/tiff"), ("avif", "image/avif")):
            status, headers, body = f.image("w:20", source, extension)
            assert status == 200 and headers["content-type"] == kind, (extension, status, headers, body[:80])
        before = f.metrics()['image_operation_execution_duration_seconds_count{operation="process"}']
        for options in ("raw:1", "raw:1/w:5", "skp:png", "skp:png:jpeg/w:5"):
            status, headers, body = f.image(options, source)
            assert (status, headers["content-type"], body) == (200, "image/png", bytes_), (options, status, headers)
        assert f.metrics()['image_operation_execution_duration_seconds_count{operation="process"}'] == before
        assert f.image("skp:png/w:5", source, "jpeg")[1]["content-type"] == "image/jpeg"


def test_pages_are_the_pictures_own():
    """Not the watermark's, which has one."""
    gif = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        mark = encoded(origin.add("/mark.gif", gif, "image/gif"))
        source = origin.add("/a.png", png(40, 30))
        for page in (0, 1, 4000000000):
            status, _, body = f.image("pg:%d/wm:1/wmu:%s" % (page, mark), source)
            assert status == 200, (page, status, body)


def test_information():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory") as f:
        body = png(30, 20, alpha=True)
        source = origin.add("/a.png", body)
        for state in ("MISS", "HIT"):
            status, headers, answer = f.ask("/info" + unsafe("", source))
            assert status == 200 and headers["cache-status"] == state and headers["content-type"] == "application/json"
            assert answer == (b'{"width":30,"height":20,"format":"png","content_type":"image/png","size_bytes":%d,"channels":4,'
                              b'"has_alpha":true,"orientation":null,"pages":1}\n' % len(body)), answer
        source = origin.add("/b", png(3, 2), content_type=None)
        assert json.loads(f.ask("/info" + unsafe("", source))[2])["content_type"] is None
        source = origin.add("/c", b"no picture", content_type="text/plain")
        for _ in range(2):
            status, headers, answer = f.ask("/info" + unsafe("", source))
            got = json.loads(answer)
            assert status == 200 and headers["cache-status"] == "MISS", headers
            assert (got["width"], got["height"], got["format"], got["channels"], got["pages"]) == (0, 0, "unknown", 0, 0), got
        assert origin.asked("/c") == 2 and origin.asked("/a.png") == 1


def test_information_is_of_the_first_page():
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        source = origin.add("/a.gif", f.image("w:5", origin.add("/a.png", png(40, 20)), "gif")[2], "image/gif")
        status, _, answer = f.ask("/info" + unsafe("pg:1", source))
        assert status == 200 and json.loads(answer)["width"] == 5


def test_other_paths_and_methods():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_HEALTH_CHECK_PATH="/alive") as f:
        assert f.ask("/status")[::2] == (200, b'{"status":"ok"}\n')
        for path in ("/health", "/alive"):
            got = json.loads(f.ask(path)[2])
            assert (got["status"], got["service"]) == ("healthy", "imgforge"), got
        ready = wait_for(lambda: (r := json.loads(f.ask("/ready")[2]))["ready"] and r, "ready")
        assert {"mem", "worker", "cache", "codecs"} <= set(ready["dependencies"]), ready
        status, headers, _ = f.ask("/unsafe/x", method="POST")
        assert status == 405 and headers["allow"] == "GET, HEAD", headers
        assert f.ask("/unsafe/x", method="BREW")[0] == 501
        assert f.ask("/unsafe/x", method="OPTIONS")[0] == 405


def test_a_prefix_is_a_mount_point_and_not_signed():
    with folder() as cwd, Origin() as origin, \
            Imgforge(cwd, IMGFORGE_PATH_PREFIX="/img/v1", IMGFORGE_KEY=KEY, IMGFORGE_SALT=SALT) as f:
        path = sign("/w:5/" + plain(origin.add("/a.png", png(10, 10))))
        assert f.ask("/img/v1" + path)[0] == 200 and f.ask("/img/v1/info" + path)[0] == 200
        assert f.ask("/img/v1/health")[0] == f.ask("/health")[0] == 200 and f.ask("/img/v1/status")[0] == 200
        status, _, body = f.ask(path)
        assert (status, body) == (404, b"Not Found")
        m = f.metrics()
        assert m['status_codes_total{status="404"}'] == 1 and m['status_codes_total{status="200"}'] == 2, m
        assert m['http_requests_duration_seconds_count{method="GET",path="/{*path}"}'] == 1
        assert m['http_requests_duration_seconds_count{method="GET",path="/info/{*path}"}'] == 1
        assert m['http_requests_duration_seconds_count{method="GET",path="unmatched"}'] == 1
        assert m['http_requests_duration_seconds_count{method="GET",path="/health"}'] == 2


# ---- who may ----

def test_bearer_signature_and_order_of_checks():
    secret = {"Authorization": "Bearer hunter2"}
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_KEY=KEY + ",ff", IMGFORGE_SALT=SALT + ",ee",
                                                       IMGFORGE_SECRET="hunter2", IMGFORGE_PROMETHEUS_BIND="127.0.0.1:0") as f:
        path = "/w:5/" + plain(origin.add("/a.png", png(10, 10)))
        rows = [  # path, headers, status, body
            (sign(path), {}, 403, b"Missing authorization token"),
            (sign(path), {"Authorization": "Basic eDp5"}, 403, b"Missing authorization token"),
            (sign(path), {"Authorization": "Bearer hunter3"}, 403, b"Invalid authorization token"),
            ("/x", {}, 403, b"Missing authorization token"),  # before it is read
            ("/x", secret, 400, b"Invalid URL format"),
            ("/" + "A" * 43 + path, secret, 403, b"Invalid signature"),
            ("/unsafe" + path, secret, 403, b"Unsigned URLs are not allowed"),
            ("/" + "A" * 43 + "/pr:x" + path, secret, 403, b"Invalid signature"),
            (sign(path), secret, 200, None),
            (sign(path, "ff", "ee"), secret, 200, None),
            (sign("/exp:1" + path), secret, 404, b"URL has expired"),
        ]
        for prefix in ("", "/info"):
            for p, headers, status, body in rows:
                got = f.ask(prefix + p, headers)
                assert got[0] == status and (body is None or got[2] == body), (prefix + p, headers, got)
        # test vectors of the specification, and the percent-decoded form
        assert f.ask("/PKxE3p6iOiTbhKVxt2V_3h-In3M9wV3LuFg21v4R9Ec/rs:fit:320:240/q:70/plain/http://origin.test/a.png@webp",
                     secret)[2] == b"Error fetching image"
        decoded = "/w:5/plain/" + origin.url("/a.png")
        assert f.ask(sign(decoded).replace("http://", "http%3A%2F%2F"), secret)[0] == 200
        # metrics: on both listeners
        for port in (f.port, f.metrics_port):
            for headers, status in (({}, 403), ({"Authorization": "Bearer no"}, 403), (secret, 200)):
                assert f.ask("/metrics", headers, port=port)[0] == status, (port, headers)
        assert f.ask("/metrics", port=f.port)[2] == b"Missing authorization token"
        assert f.ask("/metrics", {"Authorization": "Bearer x"}, port=f.port)[2] == b"Invalid authorization token"
        assert f.ask("/status")[0] == f.ask("/health")[0] == 200
        assert f.ask("/health", port=f.metrics_port)[0] == 404
        details = [e["detail"] for e in f.events("security_violation")]
        assert {"Missing authorization token", "Invalid authorization token", "Invalid signature",
                "Unsigned URLs are not allowed"} <= set(details), details
        e = f.events("security_violation")[0]
        assert list(e) == ["ts", "level", "event", "request_id", "endpoint", "error_code", "remote_addr", "detail"], e
        assert "hunter2" not in f.output()
    with folder() as cwd, Imgforge(cwd, IMGFORGE_SECRET="s", IMGFORGE_METRICS_PUBLIC="true") as f:
        assert f.ask("/metrics")[0] == 200


def test_short_signatures():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_KEY=KEY, IMGFORGE_SALT=SALT, IMGFORGE_SIGNATURE_SIZE="8") as f:
        path = "/w:5/" + plain(origin.add("/a.png", png(10, 10)))
        assert f.ask(sign(path, size=8))[0] == 200 and f.ask(sign(path, size=7))[0] == 403


def test_the_rate_is_of_all_clients_and_of_images_alone():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_RATE_LIMIT_PER_MINUTE="3", IMGFORGE_CACHE_TYPE="memory") as f:
        source = origin.add("/a.png", png(10, 10))
        got = [f.image("w:5", source) for _ in range(5)]
        # One more may have come back while the test was slow: what counts is that it ends.
        statuses = [g[0] for g in got]
        assert statuses[:3] == [200] * 3, statuses
        refused = [g for g in got if g[0] == 429] or [g for g in (f.image("w:5", source) for _ in range(50)) if g[0] == 429]
        assert refused and refused[0][2] == b"Too Many Requests" and 1 <= int(refused[0][1]["retry-after"]) <= 20, refused
        assert f.ask("/info" + unsafe("", source))[0] == 200 and f.ask("/status")[0] == 200


# ---- what goes wrong ----

def test_each_error_has_its_text():
    def truncated(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(png(10, 10))
        handler.close_connection = True

    with folder() as cwd, Origin() as origin, \
            Imgforge(cwd, IMGFORGE_ALLOW_SECURITY_OPTIONS="true", IMGFORGE_PRESETS="thumb=w:5", IMGFORGE_DOWNLOAD_TIMEOUT="60",
                     IMGFORGE_ALLOWED_MIME_TYPES="image/png,image/jpeg", IMGFORGE_ALLOW_PRIVATE_SOURCE_ADDRESSES="false") as f:
        good = origin.add("/a.png", png(20, 10))
        bad = origin.add("/bad.png", b"\x89PNG\r\n\x1a\n" + b"x" * 100)
        cut = origin.add("/cut.png", png(64, 64)[:60])
        text = origin.add("/text", b"hello", "text/plain")
        gone = origin.add("/gone", b"", status=404)
        origin.pages["/truncated"] = truncated
        closed = "http://127.0.0.1:%d/" % free_port()
        rows = [  # options, source, extension, status, body
            ("dpr:9", good, "", 400, "dpr value must be between 1.0 and 5.0"),
            ("pr:x", good, "", 400, "unknown preset: x"),
            ("", good, "xyz", 400, "Unsupported output format: xyz"),
            ("exp:1", good, "", 404, "URL has expired"),
            ("", "ftp://127.0.0.1/a", "", 400, "Source URL is not allowed"),
            ("", "http://10.0.0.1/a", "", 400, "Source URL is not allowed"),
            ("", closed, "", 400, "Error fetching image"),
            ("", origin.url("/truncated"), "", 400, "Error reading image bytes"),
            ("", gone, "", 400, "Source responded with status 404"),
            ("msfs:100", good, "", 400, "Source image exceeds the maximum allowed size of 100 bytes"),
            ("", text, "", 400, "Source image MIME type is not allowed"),
            ("msr:0.0001", good, "", 400, "Source image resolution is too large"),
            ("", bad, "", 400, "Failed to decode source image"),
            ("w:5", cut, "", 400, "Failed to decode source image"),
            ("w:200/el:1/mrd:100", good, "", 400,
             "Processed image would be 200x100, over the 100px result dimension limit"),
            ("wm:1/wmu:" + encoded(gone), good, "", 400, "Failed to fetch watermark image"),
            ("wm:1/wmu:" + encoded(bad), good, "", 400, "Failed to fetch watermark image"),
        ]
        for options, source, extension, status, body in rows:
            got = f.image(options, source, extension)
            assert (got[0], got[2].decode()) == (status, body), (options, source, got)
            assert got[1]["content-type"].startswith("text/plain"), got[1]
        for path, status, body in (("/x", 400, b"Invalid URL format"), ("/unsafe/plain/", 400, b"Invalid URL format"),
                                   ("/unsafe/plain/http%zz", 400, b"Error decoding URL"),
                                   ("/unsafe/w:5/%21", 400, b"Error decoding URL"), ("/", 404, None)):
            got = f.ask(path)
            if path == "/" and got[0] == 200:
                continue  # the page that explains URLs
            assert got[0] == status and (body is None or got[2] == body), (path, got)
        details = [e["detail"] for e in f.events("security_violation")]
        assert sum(d.startswith("Source URL is not allowed") for d in details) == 2, details
        m = f.metrics()
        assert not [s for s, v in m.items() if v and re.match(r'status_codes_total\{status="(401|50[024])"', s)], m
        # refused is not fetched
        assert m['source_images_fetched_total{status="error"}'] == sum(
            b.startswith(("Error ", "Source responded", "Source image exceeds")) for *_, b in rows), m
        errors = f.events("http_error")
        assert list(errors[0]) == ["ts", "level", "event", "request_id", "endpoint", "method", "status_code", "error_code",
                                   "user_message", "developer_message"], errors[0]


def test_development_errors_tell_the_cause():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_DEVELOPMENT_ERRORS_MODE="true") as f:
        got = f.image("w:5", origin.add("/text", b"no picture"))
        assert (got[0], got[2]) == (400, b"Failed to decode source image: 10 bytes of no known kind of picture"), got


def test_a_source_that_says_nothing_costs_the_whole_time_and_no_more():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_TIMEOUT="0.5") as f:
        origin.pages["/slow"] = origin.wait_here
        got = f.image("w:5", origin.url("/slow"))
        assert (got[0], got[2]) == (408, b"Request Timeout"), got
        wait_for(lambda: f.metrics()['source_images_fetched_total{status="error"}'] == 1, "the fetch to end")
        assert f.metrics()['image_operations_waiting{operation="process"}'] == 0
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_DOWNLOAD_TIMEOUT="0.5") as f:
        origin.pages["/slow"] = origin.wait_here
        got = f.image("w:5", origin.url("/slow"))
        assert (got[0], got[2]) == (400, b"Error fetching image"), got


# ---- headers ----

def test_conditional_requests():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory", IMGFORGE_USE_ETAG="true", IMGFORGE_TTL="60",
                                                       IMGFORGE_LAST_MODIFIED_ENABLED="true") as f:
        source = origin.add("/a.png", png(10, 10), Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
        path = unsafe("w:5", source)
        _, headers, _ = f.ask(path)
        etag = headers["etag"]
        assert re.match(r'^"[0-9a-f]{32}"$', etag) and headers["last-modified"] == "Wed, 21 Oct 2015 07:28:00 GMT", headers
        assert headers["cache-control"] == "public, max-age=60"
        rows = [({"If-None-Match": etag}, 304), ({"If-None-Match": "W/" + etag}, 304), ({"If-None-Match": '"x", ' + etag}, 304),
                ({"If-None-Match": "*"}, 304), ({"If-None-Match": '"x"'}, 200),
                ({"If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"}, 304),
                ({"If-Modified-Since": "Wed, 21 Oct 2015 07:27:59 GMT"}, 200), ({"If-Modified-Since": "never"}, 200),
                ({"If-None-Match": '"x"', "If-Modified-Since": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200)]
        for headers, status in rows:
            got = f.ask(path, headers)
            assert got[0] == status, (headers, got)
            if status == 304:
                assert got[1]["etag"] == etag and got[1]["cache-control"] == "public, max-age=60" and got[2] == b"", got
                assert "content-type" not in got[1], got
        assert f.metrics()['status_codes_total{status="304"}'] == sum(s == 304 for _, s in rows)
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        source = origin.add("/a.png", png(10, 10), Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
        got = f.image("w:5", source, headers={"If-None-Match": "*"})
        assert got[0] == 200 and not {"etag", "last-modified", "cache-control", "vary", "link", "content-disposition",
                                      "access-control-allow-origin"} & set(got[1]), got


def test_cache_control_expires_and_passthrough():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory", IMGFORGE_TTL="1000000",
                                                       IMGFORGE_CACHE_CONTROL_PASSTHROUGH="true") as f:
        said = origin.add("/said.png", png(10, 10), Cache_Control="max-age=77, private")
        silent = origin.add("/silent.png", png(10, 10))
        for state in ("MISS", "HIT"):
            _, headers, _ = f.image("w:5", said)
            assert (headers["cache-control"], headers["cache-status"]) == ("max-age=77, private", state), headers
            _, headers, _ = f.image("w:5/exp:%d" % (time.time() + 5000), silent)
            age = int(re.match(r"^public, max-age=(\d+)$", headers["cache-control"]).group(1))
            assert 4000 < age <= 5000, headers


def test_negotiation_and_client_hints():
    with folder() as cwd, Origin() as origin, \
            Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory", IMGFORGE_ENABLE_WEBP_DETECTION="true", IMGFORGE_ENABLE_AVIF_DETECTION="true",
                     IMGFORGE_ENABLE_CLIENT_HINTS="true") as f:
        source = origin.add("/a.png", png(64, 48))
        for accept, extension, kind in (("", "", "image/png"), ("image/webp,*/*", "", "image/webp"), ("*/*", "", "image/png"),
                                        ("image/avif,image/webp", "", "image/avif"), ("image/webp", "jpeg", "image/jpeg"),
                                        ("image/avif;q=0.1,image/webp", "", "image/webp")):
            got = f.image("w:16", source, extension, {"Accept": accept} if accept else {})
            assert (got[0], got[1]["content-type"]) == (200, kind), (accept, got[1])
            assert got[1]["vary"].startswith("Accept, Sec-CH-Width"), got[1]
        assert size_of(f.image("", source, "png", {"Width": "32"})[2]) == (32, 24)
        assert size_of(f.image("", source, "png", {"Sec-CH-Width": "32", "Sec-CH-DPR": "2"})[2]) == (32, 24)
        assert size_of(f.image("w:16", source, "png", {"Sec-CH-DPR": "2"})[2]) == (32, 24)
        assert size_of(f.image("w:16/dpr:1", source, "png", {"Sec-CH-DPR": "2"})[2]) == (16, 12)
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_ENFORCE_WEBP="true") as f:
        source = origin.add("/a.png", png(64, 48))
        assert f.image("w:16", source, "jpeg", {"Accept": "image/webp"})[1]["content-type"] == "image/webp"


def test_other_headers():
    with folder() as cwd, Origin() as origin, \
            Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory", IMGFORGE_SET_CANONICAL_HEADER="true", IMGFORGE_ENABLE_DEBUG_HEADERS="true",
                     IMGFORGE_ALLOW_ORIGIN="https://shop.example", IMGFORGE_ENABLE_WEBP_DETECTION="true") as f:
        body = png(40, 20)
        source = origin.add("/a.png", body)
        for state in ("MISS", "HIT"):
            _, headers, _ = f.image("w:10/fn:%s:1" % encoded('a"b\r\nX: y.png'), source)
            assert headers["cache-status"] == state
            assert headers["content-disposition"] == 'inline; filename="a_b__X: y.png"', headers
            assert headers["link"] == '<%s>; rel="canonical"' % source, headers
            assert headers["access-control-allow-origin"] == "https://shop.example" and headers["vary"] == "Origin, Accept", headers
            facts = [headers["x-origin-content-length"], headers["x-origin-width"], headers["x-origin-height"],
                     headers["x-result-width"], headers["x-result-height"]]
            assert facts == [str(len(body)), "40", "20", "10", "5"], facts
            assert headers["x-content-type-options"] == "nosniff" and headers["server"].startswith("belfry-imgforge/")
        assert f.image("w:10/att:1", source)[1]["content-disposition"] == "attachment"
        assert f.image("w:10/att:1/fn:x.png", source)[1]["content-disposition"] == 'attachment; filename="x.png"'
        status, headers, body = f.ask(unsafe("w:10", source), method="OPTIONS")
        assert status == 200 and headers["access-control-allow-origin"] == "https://shop.example" and body == b"", headers
        assert f.ask("/x")[1]["access-control-allow-origin"] == "https://shop.example"  # pages can read what is wrong


# ---- caches ----

def test_what_is_on_disk_survives_a_restart():
    for kind in ("disk", "hybrid"):
        with folder() as cwd, Origin() as origin:
            store = os.path.join(cwd, "store")
            os.mkdir(store)
            env = {"IMGFORGE_CACHE_TYPE": kind, "IMGFORGE_CACHE_DISK_PATH": store}
            path = unsafe("w:5", origin.add("/a.png", png(10, 10)))
            with Imgforge(cwd, **env) as f:
                first = f.ask(path)
                assert first[1]["cache-status"] == "MISS" and f.ask("/info" + path)[1]["cache-status"] == "MISS"
                assert f.ask(path)[1]["cache-status"] == "HIT"
                f.stop()
            with Imgforge(cwd, **env) as f:
                again = f.ask(path)
                assert again[1]["cache-status"] == "HIT" and again[2] == first[2]
                assert f.ask("/info" + path)[1]["cache-status"] == "HIT"
                m = f.metrics()
                assert m['cache_hits_total{cache_type="%s"}' % kind] == m['cache_hits_total{cache_type="metadata-%s"}' % kind] == 1
                f.stop()
            with Imgforge(cwd, IMGFORGE_MAX_RESULT_DIMENSION="4", **env) as f:  # a tighter policy
                assert f.ask(path)[0] == 400
            assert origin.asked("/a.png") == 3


def test_without_a_cache_nothing_is_counted():
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        source = origin.add("/a.png", png(10, 10))
        for _ in range(2):
            assert f.image("w:5", source)[1]["cache-status"] == "MISS"
        m = f.metrics()
        assert origin.asked("/a.png") == 2 and sum(v for k, v in m.items() if k.startswith("cache_")) == 0


def test_what_is_asked_for_at_once_is_made_once():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory") as f:
        origin.pages["/a"] = origin.wait_here
        with concurrent.futures.ThreadPoolExecutor(20) as clients:
            answers = [clients.submit(f.image, "w:4", origin.url("/a")) for _ in range(20)]
            wait_for(lambda: f.metrics()['cache_misses_total{cache_type="memory"}'] == 20, "twenty misses")
            origin.release.set()
            got = [a.result() for a in answers]
        assert all(g[0] == 200 and g[2] == got[0][2] for g in got), got
        assert origin.asked("/a") == 1 and f.metrics()['processed_images_total{format="png"}'] == 1


def test_who_joins_late_has_a_time_of_his_own():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_TIMEOUT="5", IMGFORGE_DOWNLOAD_TIMEOUT="30") as f:
        origin.pages["/a"] = origin.wait_here
        with concurrent.futures.ThreadPoolExecutor(2) as clients:
            first = clients.submit(f.image, "w:4", origin.url("/a"))
            wait_for(lambda: origin.asked("/a") == 1, "the fetch")
            time.sleep(2.5)
            second = clients.submit(f.image, "w:4", origin.url("/a"))
            assert first.result()[0] == 408
            time.sleep(0.3)
            origin.release.set()
            assert second.result()[0] == 200 and origin.asked("/a") == 1


def test_a_client_that_leaves_ends_the_fetch_nobody_waits_for():
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        import socket
        origin.pages["/a"] = origin.wait_here
        s = socket.create_connection(("127.0.0.1", f.port))
        s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % unsafe("w:4", origin.url("/a"))).encode())
        wait_for(lambda: origin.asked("/a") == 1, "the fetch")
        s.close()
        wait_for(lambda: f.metrics()['source_images_fetched_total{status="error"}'] == 1, "its end")
        seen = wait_for(lambda: [e for e in f.events("http_request") if e["endpoint"] == "/{*path}"], "its line")
        assert seen[0]["status_code"] == 499, seen


# ---- overload ----

def test_a_slow_origin_leaves_room_for_others_and_what_is_too_much_is_refused():
    with folder() as cwd, Origin() as slow, Origin() as quick, Imgforge(cwd, IMGFORGE_WORKERS="1", IMGFORGE_TIMEOUT="60") as f:
        count = 150  # of 128 places
        for i in range(count):
            slow.pages["/%d" % i] = slow.wait_here
        with concurrent.futures.ThreadPoolExecutor(count) as clients:
            answers = [clients.submit(f.image, "w:4", slow.url("/%d" % i)) for i in range(count)]
            refused = wait_for(lambda: f.metrics()['status_codes_total{status="429"}'], "429s", 30)
            wait_for(lambda: f.metrics()['status_codes_total{status="429"}'] == count - 86, "all that is too much", 30)
            for i in range(5):  # the other origin is served all the while
                assert f.image("w:4", quick.add("/%d.png" % i, png(9, 9)))[0] == 200
            slow.release.set()
            got = [a.result() for a in answers]
        statuses = [g[0] for g in got]
        assert set(statuses) == {200, 429} and statuses.count(200) == 86, (refused, statuses)
        for g in got:
            assert g[0] == 200 or (g[2] == b"Too Many Requests" and g[1]["retry-after"] == "1"), g


# ---- identity, log, metrics ----

def test_a_request_is_the_same_in_header_log_source_and_exemplar():
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        source = origin.add("/a.png", png(10, 10))
        _, headers, _ = f.image("w:5", source, headers={"X-Request-Id": "client-1", "traceparent": trace})
        assert headers["x-request-id"] == "client-1"
        asked = {k.lower(): v for k, v in origin.seen[0][1].items()}
        assert asked["x-request-id"] == "client-1" and asked["traceparent"].startswith(trace[:35]), asked
        assert asked["user-agent"].startswith("imgforge/")
        line = wait_for(lambda: [e for e in f.events("http_request") if e["request_id"] == "client-1"], "its line")[0]
        assert list(line) == HTTP_KEYS and line["endpoint"] == "/{*path}" and line["status_code"] == 200, line
        status, kind, body = f.ask("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
        assert status == 200 and "openmetrics-text" in kind["content-type"]
        for name in ("http_requests_duration_seconds_bucket", "image_processing_duration_seconds_bucket",
                     "source_image_fetch_duration_seconds_bucket", "image_operation_execution_duration_seconds_bucket"):
            examples = [line for line in body.decode().splitlines() if line.startswith(name) and "client-1" in line]
            assert examples and "4bf92f3577b34da6a3ce929d0e0e4736" in examples[0], (name, examples)
        _, headers, _ = f.image("w:5", source, headers={"X-Request-Id": "not ok!"})
        assert re.match(r"^[0-9a-f]{8}$", headers["x-request-id"])


FORMATS = ("jpeg", "png", "webp", "gif", "tiff", "avif", "heif")
CACHES = [p + c for p in ("", "metadata-") for c in ("memory", "disk", "hybrid", "valkey", "s3")]
PATHS = ("/{*path}", "/info/{*path}", "/", "/status", "/health", "/ready", "/metrics", "unmatched")
REQUEST = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10".split()
TYPES = {"http_requests_duration_seconds": "histogram", "image_processing_duration_seconds": "histogram",
         "processed_images_total": "counter", "source_image_fetch_duration_seconds": "histogram",
         "source_images_fetched_total": "counter", "cache_hits_total": "counter", "cache_misses_total": "counter",
         "status_codes_total": "counter", "vips_tracked_mem_bytes": "gauge", "vips_tracked_mem_highwater_bytes": "gauge",
         "vips_tracked_allocs": "gauge", "image_operation_semaphore_wait_duration_seconds": "histogram",
         "image_operation_blocking_queue_duration_seconds": "histogram",
         "image_operation_execution_duration_seconds": "histogram", "image_operations_active": "gauge",
         "image_operations_waiting": "gauge", "image_operation_concurrency_limit": "gauge"}


def test_metrics_are_those_of_the_contract_from_the_start():
    with folder() as cwd, Imgforge(cwd, IMGFORGE_WORKERS="3", IMGFORGE_PROMETHEUS_BIND="127.0.0.1:0") as f:
        status, headers, body = f.ask("/metrics", port=f.metrics_port)
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        text = body.decode()
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        assert {k: types.get(k) for k in TYPES} == TYPES
        assert set(re.findall(r"^# HELP (\S+) .", text, re.M)) >= set(TYPES)
        m = f.metrics()
        for path in PATHS:
            for le in REQUEST + ["+Inf"]:
                assert m['http_requests_duration_seconds_bucket{method="GET",path="%s",le="%s"}' % (path, le)] >= 0
        for form in FORMATS:
            assert m['processed_images_total{format="%s"}' % form] == 0
            for le in REQUEST + ["30", "+Inf"]:
                assert m['image_processing_duration_seconds_bucket{format="%s",le="%s"}' % (form, le)] == 0
        for le in REQUEST + ["30", "+Inf"]:
            assert m['source_image_fetch_duration_seconds_bucket{le="%s"}' % le] == 0
        for cache in CACHES:
            assert m['cache_hits_total{cache_type="%s"}' % cache] == m['cache_misses_total{cache_type="%s"}' % cache] == 0
        for code in (200, 304, 400, 403, 404, 408, 429, 500):
            assert m['status_codes_total{status="%d"}' % code] == 0
        assert m['source_images_fetched_total{status="success"}'] == m['source_images_fetched_total{status="error"}'] == 0
        for op in ("process", "info", "watermark"):
            assert m['image_operations_active{operation="%s"}' % op] == m['image_operations_waiting{operation="%s"}' % op] == 0
            for name in ("semaphore_wait", "blocking_queue", "execution"):
                for le in ["0.001"] + REQUEST + ["30", "+Inf"]:
                    assert m['image_operation_%s_duration_seconds_bucket{operation="%s",le="%s"}' % (name, op, le)] == 0
        assert m["image_operation_concurrency_limit"] == 3 and m["process_resident_memory_bytes"] > 0
        families = {re.sub(r"_(bucket|sum|count)$", "", name.partition("{")[0]) for name in m}
        strangers = {n for n in families if not n.startswith(("process_", "belfry_", "log_")) and n not in TYPES}
        assert not strangers, strangers


def test_metrics_after_known_traffic():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory", IMGFORGE_PROMETHEUS_BIND="127.0.0.1:0") as f:
        source = origin.add("/a.png", png(100, 50))
        mark = origin.add("/m.png", png(10, 10, alpha=True))
        for _ in range(3):
            assert f.image("w:10", source, "jpeg")[0] == 200
        for _ in range(2):
            assert f.image("w:10", source, "webp")[0] == 200
        assert f.image("w:50/wm:0.5/wmu:" + encoded(mark), source)[0] == 200
        for _ in range(2):
            assert f.ask("/info" + unsafe("", source))[0] == 200
        assert f.image("", origin.url("/none"))[0] == 400
        assert f.ask("/x")[0] == 400 and f.ask("/wrong/w:1/abc")[0] == 403
        f.ask("/status"), f.ask("/health"), f.ask("/ready")
        want = {'status_codes_total{status="200"}': 8, 'status_codes_total{status="400"}': 2,
                'status_codes_total{status="403"}': 1, 'status_codes_total{status="404"}': 0,
                'processed_images_total{format="jpeg"}': 1, 'processed_images_total{format="webp"}': 1,
                'processed_images_total{format="png"}': 1, 'image_processing_duration_seconds_count{format="jpeg"}': 1,
                'cache_hits_total{cache_type="memory"}': 3, 'cache_misses_total{cache_type="memory"}': 4,
                'cache_hits_total{cache_type="metadata-memory"}': 1, 'cache_misses_total{cache_type="metadata-memory"}': 1,
                'source_images_fetched_total{status="success"}': 4, 'source_images_fetched_total{status="error"}': 1,
                "source_image_fetch_duration_seconds_count": 5,
                'http_requests_duration_seconds_count{method="GET",path="/{*path}"}': 9,
                'http_requests_duration_seconds_count{method="GET",path="/info/{*path}"}': 2,
                'http_requests_duration_seconds_count{method="GET",path="/status"}': 1,
                'image_operation_execution_duration_seconds_count{operation="process"}': 3,
                'image_operation_semaphore_wait_duration_seconds_count{operation="process"}': 3,
                'image_operation_blocking_queue_duration_seconds_count{operation="process"}': 3,
                'image_operation_execution_duration_seconds_count{operation="info"}': 1,
                'image_operation_execution_duration_seconds_count{operation="watermark"}': 1,
                'image_operations_active{operation="process"}': 0, 'image_operations_waiting{operation="process"}': 0}
        # A client has its answer a moment before it is counted.
        wait_for(lambda: f.metrics(f.metrics_port)['http_requests_duration_seconds_count{method="GET",path="/ready"}'] == 1, "counts")
        m = f.metrics(f.metrics_port)
        assert {k: m.get(k) for k in want} == want
        assert m["vips_tracked_mem_highwater_bytes"] > 0
        for name in ("process", "info"):
            assert m['image_operation_execution_duration_seconds_sum{operation="%s"}' % name] > 0


def test_promtool_finds_nothing_to_say():
    promtool = need("promtool")
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_CACHE_TYPE="memory") as f:
        assert f.image("w:5", origin.add("/a.png", png(9, 9)))[0] == 200
        body = f.ask("/metrics")[2]
        p = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, timeout=60)
        # The names are those of the seeds: one has "bytes" before its end.
        said = [line for line in (p.stdout + p.stderr).decode().splitlines() if line.strip()]
        assert p.returncode in (0, 3) and all("non-histogram" not in line for line in said), said
        assert p.returncode == 0 or all(line.startswith(("vips_", "belfry_", "process_", "log_")) for line in said), said


def test_belfry_and_prometheus_scrape_it():
    config = ("global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: imgforge\n    static_configs:\n"
              "      - targets: ['127.0.0.1:%d']\n    authorization:\n      credentials: hunter2\n")
    query = 'sum(status_codes_total{job="imgforge",status="200"})'

    def value(answer):
        return answer["result"] and float(answer["result"][0]["value"][1])

    with folder() as cwd, Origin() as origin, \
            Imgforge(cwd, IMGFORGE_SECRET="hunter2", IMGFORGE_PROMETHEUS_BIND="127.0.0.1:0") as f:
        assert f.image("w:5", origin.add("/a.png", png(9, 9)), headers={"Authorization": "Bearer hunter2"})[0] == 200
        with Belfry(cwd, config % f.metrics_port) as belfry:
            wait_for(lambda: value(belfry.api("query", query=query)) == 1, "Belfry's sample", 30)
        prometheus = need("prometheus")
        port = free_port()
        with open(os.path.join(cwd, "peer.yml"), "w") as out:
            out.write(config % f.port)
        from harness import Process
        import urllib.parse
        import urllib.request
        with Process([prometheus, "--config.file=peer.yml", "--storage.tsdb.path=peer",
                      "--web.listen-address=127.0.0.1:%d" % port], cwd, name="prometheus"):
            url = "http://127.0.0.1:%d/api/v1/query?%s" % (port, urllib.parse.urlencode({"query": query}))
            wait_for(lambda: value(json.load(urllib.request.urlopen(url, timeout=5))["data"]) == 1, "Prometheus' sample", 60)


# ---- start and end ----

def test_configuration():
    if not os.path.exists(IMGFORGE):
        raise Skip("imgforge is not built")

    def check(*flags, **env):
        p = subprocess.run([IMGFORGE, *flags], env=imgforge_environment(**env), capture_output=True, text=True, timeout=60)
        return p.returncode, p.stdout

    code, out = check("--check-config", IMGFORGE_KEY=KEY, IMGFORGE_SALT=SALT, IMGFORGE_SECRET="hunter2")
    shown = json.loads(out)
    assert code == 0 and KEY not in out and "hunter2" not in out, out
    assert shown["IMGFORGE_KEY"] == shown["IMGFORGE_SECRET"] == "***" and shown["IMGFORGE_TIMEOUT"] == 30, shown
    code, out = check("--check-config", IMGFORGE_ALLOW_UNSIGNED=None)
    event = json.loads(out)
    assert (code, event["event"], event["variable"]) == (2, "config_error", "IMGFORGE_KEY"), out
    code, out = check("--check-config", IMGFORGE_PRESETS="a=dpr:9")
    assert code == 2 and "dpr value must be" in json.loads(out)["expected"], out
    code, out = check("--help")
    assert code == 0 and all(name in out for name in shown), out
    assert re.match(r"^imgforge \d+\.\d+\.\d+\n$", check("--version")[1])
    with folder() as cwd, Imgforge(cwd, IMGFORGE_KEY="aa", IMGFORGE_SALT="bb", IMGFORGE_WORKERS="500") as f:
        assert {(e["variable"], e["level"]) for e in f.events("config_warning")} == \
            {("IMGFORGE_KEY", "warn"), ("IMGFORGE_WORKERS", "warn")}


def test_the_end_waits_for_what_is_in_work():
    with folder() as cwd, Origin() as origin, Imgforge(cwd) as f:
        origin.pages["/a"] = origin.wait_here
        answers = []
        client = threading.Thread(target=lambda: answers.append(f.image("w:4", origin.url("/a"))))
        client.start()
        wait_for(lambda: origin.asked("/a") == 1, "the fetch")
        f.proc.send_signal(signal.SIGTERM)
        wait_for(lambda: f.events("service_stopping"), "the begin of the end")
        origin.release.set()
        client.join(30)
        assert answers and answers[0][0] == 200, answers
        assert f.proc.wait(30) == 0
    with folder() as cwd, Origin() as origin, Imgforge(cwd, SHUTDOWN_GRACE_SECONDS="0.2") as f:
        origin.pages["/a"] = origin.wait_here
        client = threading.Thread(target=lambda: ignore(lambda: f.image("w:4", origin.url("/a"))))
        client.start()
        wait_for(lambda: origin.asked("/a") == 1, "the fetch")
        f.proc.send_signal(signal.SIGTERM)
        assert f.proc.wait(30) == 0  # what does not end is cancelled
        client.join(30)


def ignore(call):
    try:
        call()
    except (OSError, ValueError):
        pass
    except Exception as e:  # http.client's: the answer was cut
        assert "HTTP" in type(e).__name__ or "Remote" in type(e).__name__ or "Incomplete" in type(e).__name__, e
