# SPDX-License-Identifier: Apache-2.0
"""Other people's history: a data folder of a real Prometheus and files of OpenMetrics become blocks; what promtool dumps
there is what `belfry tsdb dump` dumps here."""
import glob
import os
import random
import signal
import subprocess
import time
import urllib.request

from harness import BELFRY, Belfry, Process, Target, config, folder, free_port, need, text, wait_for


def belfry(*args, stdin=None, status=0):
    p = subprocess.run([BELFRY, "tsdb", *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert p.returncode == status, "%r: status %d: %s%s" % (args, p.returncode, p.stdout, p.stderr)
    return p.stdout, p.stderr


def promtool_dump(data):
    os.makedirs(data + "/wal", exist_ok=True)  # without it promtool says there is no database
    return sorted(subprocess.run(["promtool", "tsdb", "dump", data], check=True, capture_output=True, text=True).stdout.splitlines())


def dump(data):
    return sorted(belfry("dump", data)[0].splitlines())


def openmetrics(path, series, samples, start=1700000000):
    random.seed(8)
    values = [0, 1, -0.0, 1e300, 0.1, 17, "NaN", "+Inf"]
    with open(path, "w") as f:
        f.write("# TYPE m gauge\n")
        for i in range(series):
            for k in range(samples):
                v = random.choice(values) if k % 7 == 0 else k * i
                f.write('m{i="%d",text="a\\"\\\\é"} %s %d.%03d\n' % (i, v, start + 15 * k, random.choice([0, 0, 0, 7])))
        f.write("# EOF\n")


def test_openmetrics_and_blocks_of_promtool_dump_alike():
    """promtool makes Prometheus' blocks of a file; we make ours of the file, and ours of those blocks: all three dump
    the same lines. Each import done again finds its blocks there."""
    need("promtool")
    with folder() as d:
        openmetrics(d + "/f.txt", 30, 2500)
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", d + "/f.txt", d + "/p"], check=True,
                       capture_output=True)
        want = promtool_dump(d + "/p")
        assert len(want) == 75000
        assert "75000" in belfry("import", "openmetrics", d + "/f.txt", d + "/a")[0]
        assert dump(d + "/a") == want
        assert "75000" in belfry("import", "prometheus", d + "/p", d + "/b")[0]
        assert dump(d + "/b") == want
        for source, data in (("openmetrics " + d + "/f.txt", d + "/a"), ("prometheus " + d + "/p", d + "/b")):
            blocks = sorted(os.listdir(data))
            assert "were here already" in belfry("import", *source.split(), data)[0]
            assert sorted(os.listdir(data)) == blocks
            assert "DAMAGED" not in belfry("verify", data)[0]
        again = belfry("dump", d + "/a", "--format=openmetrics")[0]
        belfry("import", "openmetrics", "-", d + "/c", stdin=again)
        assert dump(d + "/c") == want


def test_a_killed_prometheus_comes_over_whole():
    """Scraped, partly deleted (tombstones), killed: blocks, log and deletions come over; the server here then answers
    for the old samples and goes on scraping."""
    need("prometheus")
    need("promtool")
    body = lambda: "".join("m{n=\"%d\"} %d\n" % (n, n) for n in range(50))
    with folder() as d, Target(text(body)) as t:
        openmetrics(d + "/f.txt", 5, 2000)
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", d + "/f.txt", d + "/p"], check=True,
                       capture_output=True)
        with open(d + "/p.yml", "w") as f:
            f.write(config({"t": t.address}, "200ms"))
        port = free_port()
        p = Process(["prometheus", "--config.file=p.yml", "--storage.tsdb.path=p", "--storage.tsdb.retention.time=100y",
                     "--web.enable-admin-api", "--web.listen-address=127.0.0.1:%d" % port], d, name="prometheus")
        try:
            url = "http://127.0.0.1:%d/api/v1/query?query=" % port + urllib.request.quote('count_over_time(m{n="8"}[1m]) > 25')
            wait_for(lambda: b'"value"' in urllib.request.urlopen(url, timeout=5).read(), "25 scrapes", 40)
            for match in ('m{n="7"}', 'm{i="3"}'):
                url = "http://127.0.0.1:%d/api/v1/admin/tsdb/delete_series?match[]=%s&end=%d" % (
                    port, urllib.request.quote(match), 4102444800)
                urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5).read()
        finally:
            p.stop(signal.SIGKILL)
        belfry("import", "prometheus", d + "/p", d + "/data")
        got = [x for x in dump(d + "/data")]
        want = promtool_dump(d + "/p")
        assert not any('n="7"' in x or 'i="3"' in x for x in got)
        assert len(got) > 1000 + 8000
        assert got == want
        with Belfry(d, config({"t": t.address}, "200ms"), flags=["--storage.tsdb.retention.time=100y"]) as b:
            wait_for(lambda: b.query('m{n="8"}'), "a scrape after the import")
            assert b.value('count_over_time(m{i="2"}[2d] @ 1700030000)') == 2000
            count = b.value('count_over_time(m{n="8"}[10m])')
            assert count > 20, count


def test_what_is_wrong_with_an_import_is_told_with_its_place():
    with folder() as d:
        for body, error in (("m 1 1\n", "does not end with # EOF"), ("m 1\n# EOF\n", "line 1: sample \"m\" has no timestamp"),
                            ("m 1 1\nm{ 2 2\n# EOF\n", "line 2:")):
            with open(d + "/f", "w") as f:
                f.write(body)
            assert error in belfry("import", "openmetrics", d + "/f", d + "/a", status=1)[1]
            assert os.listdir(d + "/a") == ["lock"]
        assert "there is no folder" in belfry("import", "prometheus", d + "/nowhere", d + "/a", status=1)[1]
        assert "neither blocks nor wal/" in belfry("import", "prometheus", d, d + "/a", status=1)[1]
        with Belfry(d, config({"none": []})) as b:
            assert "stop the server" in belfry("import", "openmetrics", d + "/f", d + "/data", status=1)[1]
            assert "stop the server" in belfry("dump", d + "/data", status=1)[1]
            assert b.stop() == 0


def test_verify_reads_every_file_and_names_the_damaged_one():
    """A folder with every kind of file is whole, also while the server writes it; then a byte in the middle of each file
    is flipped in turn."""
    body = lambda: "".join("m{n=\"%d\"} %d\n" % (n, time.time() * 1000 % 1000) for n in range(40))
    with folder() as d, Target(text(body)) as t:
        data = d + "/data"
        with Belfry(d, config({"t": t.address}, "100ms"), flags=["--storage.tsdb.min-block-duration=8s"]) as b:
            wait_for(lambda: glob.glob(data + "/*/meta.json"), "a block", 60)
            assert b.stop() == 0
        # That block may have left neither extents nor a log. The next is hours away, so what comes now stays.
        with Belfry(d, config({"t": t.address}, "100ms"), flags=["--web.enable-admin-api"]) as b:
            wait_for(lambda: glob.glob(data + "/head/extents/*") and glob.glob(data + "/head/wal/*"), "extents and a log", 60)
            assert b.request("POST", "/api/v1/admin/tsdb/delete_series?match[]=m%7Bn=%223%22%7D")[0] == 204
            assert "DAMAGED" not in belfry("verify", data)[0]
            assert b.stop() == 0
        said = belfry("verify", data)[0]
        files = [f for f in glob.glob(data + "/**", recursive=True) if os.path.isfile(f) and os.path.getsize(f) > 8]
        kinds = {"index", "columns", "meta.json", "deletions", "floor", "series.log"}
        assert kinds <= {os.path.basename(f) for f in files}, files
        assert "extents head/extents/" in said and "log head/wal/" in said, said
        for path in files:
            with open(path, "r+b") as f:
                whole = f.read()
                f.seek(len(whole) // 3)
                f.write(bytes([whole[len(whole) // 3] ^ 0x10]))
                f.flush()
                p = subprocess.run([BELFRY, "tsdb", "verify", data], capture_output=True, text=True)
                name = os.path.relpath(path, data)
                bad = [x for x in p.stdout.splitlines() if x.startswith("DAMAGED")]
                torn = "ends within a record" in p.stdout  # the only record of a log was hit
                if not path.endswith("meta.json"):  # whose white space may be hit
                    assert (p.returncode == 1 and len(bad) == 1) or torn, (name, p.stdout)
                for x in bad:
                    assert name.split("/")[0] in x, (name, x)
                f.seek(0)
                f.write(whole)


def test_damaged_blocks_of_prometheus_are_told_and_leave_nothing():
    """Every part of a block is hit: the import says which block, takes the others, and exits with 1."""
    need("promtool")
    with folder() as d:
        openmetrics(d + "/f.txt", 5, 1000)
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", d + "/f.txt", d + "/p"], check=True,
                       capture_output=True)
        blocks = sorted(os.listdir(d + "/p"))
        want = promtool_dump(d + "/p")
        victim = d + "/p/" + blocks[0]
        for file in ("index", "chunks/000001", "meta.json"):
            with open(victim + "/" + file, "r+b") as f:
                whole = f.read()
                for place in (3, len(whole) // 2, len(whole) - 2):
                    f.seek(0)
                    f.write(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1:])
                    f.flush()
                    subprocess.run(["rm", "-rf", d + "/a"], check=True)
                    p = subprocess.run([BELFRY, "tsdb", "import", "prometheus", d + "/p", d + "/a"], capture_output=True, text=True)
                    here = sorted(os.listdir(d + "/a"))
                    if p.returncode == 0:  # a byte that says nothing of series, times and values
                        assert here == blocks + ["lock"] and dump(d + "/a") == want
                    else:
                        assert p.returncode == 1 and blocks[0] in p.stderr, p.stderr
                        assert here == blocks[1:] + ["lock"], here
                f.seek(0)
                f.write(whole)
