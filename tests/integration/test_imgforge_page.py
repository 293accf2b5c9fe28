# SPDX-License-Identifier: Apache-2.0
"""The page / of imgforge and the command that signs: both sign what the server takes."""
import base64
import hashlib
import http.server
import os
import re
import subprocess
import threading

from harness import folder, need
from imgforge_subject import IMGFORGE, KEY, SALT, Imgforge, Origin, clean_env, plain, png, sign


def test_the_page_runs_only_its_own_script_and_style():
    with folder() as cwd, Imgforge(cwd) as forge:
        status, headers, body = forge.ask("/")
        assert status == 200 and headers["content-type"] == "text/html; charset=utf-8", (status, headers)
        page, policy = body.decode(), headers["content-security-policy"]
        for tag, directive in (("script", "script-src"), ("style", "style-src")):
            text, = re.findall("<%s>(.*?)</%s>" % (tag, tag), page, re.S)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert "%s 'sha256-%s';" % (directive, digest) in policy, policy
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert not re.search(r'(src|href)="(?!data:)', page), "nothing is loaded from elsewhere"
        assert forge.ask("/", {"If-None-Match": headers["etag"]})[0] == 304
        assert forge.ask("/", method="HEAD")[0] == 200
        assert forge.ask("/", method="POST")[0] == 405
        metrics = forge.metrics()
        assert metrics['http_requests_duration_seconds_count{method="GET",path="/"}'] == 2


def test_the_page_is_below_the_prefix():
    with folder() as cwd, Imgforge(cwd, IMGFORGE_PATH_PREFIX="/img") as forge:
        assert forge.ask("/img/")[0] == 200


def test_what_the_command_signs_the_server_takes():
    with folder() as cwd, Origin() as origin, Imgforge(cwd, IMGFORGE_KEY=KEY, IMGFORGE_SALT=SALT) as forge:
        url = origin.add("/a.png", png(8, 8))
        env = clean_env({"IMGFORGE_KEY": KEY, "IMGFORGE_SALT": SALT})
        for words in (["/w:4/" + plain(url) + "@webp"], ["--encode", "/w:4/" + plain(url) + "@webp"], [url], ["--encode", url]):
            p = subprocess.run([IMGFORGE, "sign", *words], env=env, capture_output=True, text=True, timeout=30)
            assert p.returncode == 0 and p.stderr == "", p
            status, _, body = forge.ask(p.stdout.strip())
            assert status == 200, (words, p.stdout, status, body[:100])
        p = subprocess.run([IMGFORGE, "sign", "/w:4/plain/x"], env=clean_env({}), capture_output=True, text=True, timeout=30)
        assert p.returncode == 2 and "IMGFORGE_KEY" in p.stderr and p.stdout == "", p


FILL = """<script>
for (const [id, value] of Object.entries({source: "http://origin.test/a.png", encoding: "plain", format: "webp", resize: "fit",
  width: "320", height: "240", quality: "70", key: "%s", salt: "%s"})) document.getElementById(id).value = value;
document.getElementById("live").checked = false;
document.getElementById("form").dispatchEvent(new Event("input"));
setInterval(() => { document.title = document.getElementById("url").value + " " + isSecureContext; }, 20);
</script></body>"""


def test_the_page_signs_as_the_server_does_with_and_without_webcrypto():
    """In a browser, on loopback and on a host that is no secure context, with a script behind the page that fills the form."""
    need("chromium")
    with folder() as cwd, Imgforge(cwd) as forge:
        page = forge.ask("/")[2].decode().replace("</body>", FILL % (KEY, SALT)).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = sign("/rs:fit:320:240/q:70/plain/http://origin.test/a.png@webp")
        for host, secure in (("127.0.0.1", "true"), ("images.test", "false")):
            p = subprocess.run(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + os.path.join(cwd, host),
                                "--host-resolver-rules=MAP images.test 127.0.0.1", "--virtual-time-budget=1000", "--dump-dom",
                                "http://%s:%d/" % (host, server.server_address[1])], capture_output=True, text=True, timeout=120)
            title = re.search("<title>(.*?)</title>", p.stdout)
            want = "http://%s:%d%s %s" % (host, server.server_address[1], path, secure)
            assert title and title.group(1) == want, (title and title.group(1), want, p.stderr[-500:])
        server.shutdown()
        server.server_close()
