# SPDX-License-Identifier: Apache-2.0
"""Who may do what: roles, users of files and of state.db, tokens, sessions, TLS, prefixes, and their ends."""
import base64
import contextlib
import http.client
import os
import re
import socket
import ssl
import subprocess
import time

from harness import BELFRY, TOP, Belfry, config, folder, need, run, wait_for

NONE = config({"none": []})


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()}


def bearer(token):
    return {"Authorization": "Bearer " + token}


def status(b, path, headers=None, method="GET", body=None):
    return b.request(method, path, body, headers)[0]


def user(d, *words, password="secret-pw"):
    code, out, err = run(BELFRY, "user", *words, "--storage.tsdb.path=" + os.path.join(d, "data"), stdin=password + "\n")
    assert code == 0, (words, out, err)
    return out


def token(d, *words):
    code, out, err = run(BELFRY, "token", *words, "--storage.tsdb.path=" + os.path.join(d, "data"))
    assert code == 0, (words, out, err)
    return out.strip()


def bcrypt(password):
    """A hash as `belfry user add` makes it, read from its state.db."""
    import sqlite3
    with folder() as d:
        user(d, "add", "x", password=password)
        return sqlite3.connect(os.path.join(d, "data/state.db")).execute("SELECT hash FROM users").fetchone()[0]


def write(path, text):
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.rename(path + ".tmp", path)


def other_address():
    """An address of this machine that is not loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            address = s.getsockname()[0]
        except OSError:
            return None
    return None if address.startswith("127.") else address


def ask(address, port, path, method="GET", headers=None):
    c = http.client.HTTPConnection(address, port, timeout=10)
    try:
        c.request(method, path, headers=headers or {})
        r = c.getresponse()
        endless = r.headers.get_content_type() == "text/event-stream"  # the headers have said all that is asked here
        return r.status, "" if endless else r.read().decode()
    finally:
        c.close()


def routes():
    """The rows of the table in src/api/api_routes.c: (method, path, role, switch)."""
    with open(os.path.join(TOP, "src/api/api_routes.c")) as f:
        rows = re.findall(r'^\s+ROUTE\(([A-Z|]+),\s*"([^"]+)",\s*(\w+),\s*(\w+),', f.read(), re.M)
    assert len(rows) > 20
    return [(m, path.replace("{name}", "x"), role, switch) for methods, path, role, switch in rows for m in methods.split("|")]


RANK = {"PUBLIC": 0, "VIEW": 1, "SILENCE": 2, "EDIT": 3, "ADMIN": 4}


def alertmanager(d):
    """The flag without which there are no routes of alerting."""
    path = os.path.join(d, "alertmanager.yml")
    with open(path, "w") as f:
        f.write("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    return "--alertmanager.config.file=" + path


def second_port(b, address):
    line = wait_for(lambda: re.search(r"address=%s:(\d+)" % re.escape(address), b.output()), "the address in the log")
    return int(line.group(1))


def walk(rank, headers, host, port):
    """Every route with these headers: refused exactly where the role is too small. Nothing that ends the server or
    changes it runs: such routes are asked only where they must be refused."""
    for method, path, role, _ in routes():
        allowed = rank >= RANK[role]
        if allowed and method != "GET":
            continue
        code, body = ask(host, port, path, method, headers)
        refused = code in (401, 403)
        assert refused != allowed, (method, path, role, rank, code, body[:200])


def test_with_users_no_route_is_open_but_health_and_login():
    with folder() as d:
        user(d, "add", "root")
        tokens = {role: token(d, "add", role, "--role=" + role) for role in ("view", "silence", "edit", "admin")}
        address = other_address()
        flags = ["--web.enable-lifecycle", "--web.enable-admin-api", "--web.enable-remote-write-receiver", "--web.user-assets=" + d, alertmanager(d)]
        with Belfry(d, NONE, flags=flags + (["--web.listen-address=%s:0" % address] if address else [])) as b:
            for host, port in filter(None, [("127.0.0.1", b.port), address and (address, second_port(b, address))]):
                walk(0, {}, host, port)
                for role, text in tokens.items():
                    walk(RANK[role.upper()], bearer(text), host, port)


def test_another_address_is_viewer_without_users_and_flags_open_their_routes():
    address = other_address()
    with folder() as d:
        port_flags = ["--web.listen-address=%s:0" % address] if address else []
        with Belfry(d, NONE, flags=port_flags + ["--web.enable-lifecycle"]) as b:
            where = [("127.0.0.1", b.port, {"X-Forwarded-For": "10.0.0.1"}), ("127.0.0.1", b.port, {"Host": "evil.example"})]
            if address:
                where.append((address, second_port(b, address), {}))
                wait_for(lambda: "event=no_users" in b.output(), "warning")
            for host, port, headers in where:
                assert ask(host, port, "/metrics", headers=headers)[0] == 200
            # a page below a name that was made to resolve to this address: the browser calls it the server's own
            rebound = {"Host": "evil.example:%d" % b.port, "Origin": "http://evil.example:%d" % b.port, "Sec-Fetch-Site": "same-origin"}
            assert ask("127.0.0.1", b.port, "/-/quit", "POST", rebound)[0] == 403
            for own in ("localhost:%d" % b.port, "10.1.2.3:%d" % b.port):
                assert ask("127.0.0.1", b.port, "/-/reload", "POST", {"Host": own, "Origin": "http://" + own})[0] == 200
            assert ask(*where[-1][:2], "/-/quit", "POST", where[-1][2])[0] == 200  # as in Prometheus
            wait_for(lambda: not b.alive(), "quit")
            assert b.proc.returncode == 0


def test_anonymous_role_none_closes_all_but_health():
    with folder() as d, Belfry(d, NONE, flags=["--web.anonymous-role=none", "--web.enable-lifecycle", "--web.user-assets=" + d,
                                                     alertmanager(d)]) as b:
        stranger = {"Host": "evil.example"}
        assert status(b, "/-/healthy", stranger) == 200
        for method, path, role, _ in routes():
            if role != "PUBLIC":
                code, body, _ = b.request(method, path, headers=stranger)
                assert code == 403 and b"belfry user add NAME" in body, (method, path, code, body)
        assert status(b, "/metrics") == 200


def test_lifecycle_off_says_so_in_prometheus_words():
    with folder() as d, Belfry(d, NONE) as b:
        for method in ("PUT", "POST"):
            assert b.request(method, "/-/quit")[:2] == (403, b"Lifecycle API is not enabled.\n")
        assert status(b, "/-/quit") == 405


def test_a_running_server_sees_each_change_of_users_at_once():
    with folder() as d, Belfry(d, NONE) as b:
        assert status(b, "/metrics") == 200
        user(d, "add", "zoe", "--role=view")
        assert status(b, "/metrics") == 401
        assert status(b, "/metrics", basic("zoe", "secret-pw")) == 200
        assert status(b, "/metrics", basic("zoe", "secret-pw")) == 200  # remembered
        assert status(b, "/-/quit", basic("zoe", "secret-pw"), "POST") == 403
        user(d, "passwd", "zoe", password="secret-2nd")
        assert status(b, "/metrics", basic("zoe", "secret-pw")) == 401
        assert status(b, "/metrics", basic("zoe", "secret-2nd")) == 200
        user(d, "revoke", "zoe")
        assert status(b, "/metrics") == 200  # nobody is left
        assert "secret" not in b.output()


def login(b, name, password, more="", headers=None):
    code, body, got = b.request("POST", "/login", "user=%s&password=%s%s" % (name, password, more),
                                {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
    return code, got.get("Set-Cookie", ""), got.get("Location"), body


def test_sessions_end_when_password_or_role_change():
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe", "--role=edit")
        code, cookie, to, _ = login(b, "zoe", "secret-pw", "&next=/graph%3Fexpr%3Dup")
        assert code == 303 and to == "/graph?expr=up"
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
        mine = {"Cookie": "belfry_session=attacker-chose-this"}
        assert status(b, "/metrics", mine) == 401
        fixed = login(b, "zoe", "secret-pw", headers=mine)[1]
        assert "attacker" not in fixed and fixed.split(";")[0] != cookie.split(";")[0]
        for change in (["passwd", "zoe"], ["role", "zoe", "--role=view"]):
            session = {"Cookie": login(b, "zoe", "secret-pw")[1].split(";")[0]}
            assert status(b, "/metrics", session) == 200
            user(d, *change)
            assert status(b, "/metrics", session) == 401, change
        session = {"Cookie": login(b, "zoe", "secret-pw")[1].split(";")[0]}
        assert status(b, "/metrics", session) == 200
        code, _, got = b.request("POST", "/logout", headers=session)
        assert code == 303 and "Max-Age=0" in got["Set-Cookie"]
        assert status(b, "/metrics", session) == 401


def test_the_login_leads_nowhere_else():
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe")
        for bad in ("//evil.example", "/%5Cevil.example", "https://evil.example", "/a%0d%0aX: y", "javascript:alert(1)", "/a//b"):
            code, _, to, _ = login(b, "zoe", "secret-pw", "&next=" + bad)
            assert code == 303 and to == "/", (bad, to)
        code, cookie, _, body = login(b, "<b>", "wrong-one", "&next=/%22%3E%3Cscript%3E")
        assert code == 401 and not cookie and b"<script>" not in body and b"wrong name or password" in body
        page = b.request("GET", "/graph?a=1&b=%2F", headers={"Accept": "text/html"})
        assert page[0] == 303 and page[2]["Location"] == "/login?next=/graph%3Fa%3D1%26b%3D%252F", page[2]
        assert b'name="password"' in b.request("GET", "/login")[1]
        # another site's page can neither log in nor out
        assert login(b, "zoe", "secret-pw", headers={"Origin": "http://evil.example"})[0] == 403
        assert status(b, "/logout", {"Origin": "http://evil.example"}, "POST") == 403


def test_tokens_have_a_role_paths_and_an_end():
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "root")
        scoped = token(d, "add", "ci", "--role=admin", "--route=/api/v1/query", "--route=/api/v1/status")
        short = token(d, "add", "soon", "--expires=1s")
        assert status(b, "/api/v1/query?query=1", bearer(scoped)) == 200
        assert status(b, "/api/v1/status/flags", bearer(scoped)) == 200
        assert status(b, "/api/v1/query_range", bearer(scoped)) == 403
        assert status(b, "/metrics", bearer(scoped)) == 403
        assert status(b, "/metrics", bearer(short)) == 200
        wait_for(lambda: status(b, "/metrics", bearer(short)) == 401, "end of the token")
        listed = token(d, "list")
        assert "ci" in listed and scoped not in listed and "/api/v1/query /api/v1/status" in listed
        token(d, "revoke", "1")
        assert status(b, "/api/v1/query?query=1", bearer(scoped)) == 401
        with open(os.path.join(d, "data/state.db"), "rb") as f, open(os.path.join(d, "data/state.db-wal"), "rb") as g:
            assert scoped.encode() not in f.read() + g.read()


def test_guessing_is_slowed_down_but_not_for_who_is_known():
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe")
        assert status(b, "/metrics", basic("zoe", "secret-pw")) == 200
        codes = [status(b, "/metrics", basic("zoe", "wrong-%d" % i)) for i in range(14)]
        assert codes[:10] == [401] * 10 and codes[-1] == 429, codes
        code, body, got = b.request("GET", "/metrics", headers=basic("zoe", "wrong-x"))
        assert code == 429 and int(got["Retry-After"]) >= 1
        assert status(b, "/metrics", basic("zoe", "secret-pw")) == 200
        assert login(b, "zoe", "another-wrong")[0] == 429


def test_unknown_users_take_as_long_as_wrong_passwords():
    """Medians of a few; a name that is not there must not answer in a tenth of the time."""
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe")
        took = {"zoe": [], "nobody": []}
        for _ in range(4):
            for name, times in took.items():
                t0 = time.perf_counter()
                assert status(b, "/metrics", basic(name, "wrong-pw")) == 401
                times.append(time.perf_counter() - t0)
        known, unknown = (sorted(t)[1] for t in took.values())
        assert 0.5 < known / unknown < 2, took


def test_the_cache_of_passwords_cannot_be_poisoned():
    """CVE-2022-46146: what was once hashed for an unknown user, or with parts that run together, lets nobody in."""
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe", password="secret-pw")
        user(d, "add", "zo", password="esecret-pw")
        good = [("zoe", "secret-pw"), ("zo", "esecret-pw")]
        bad = [("zoe", "esecret-pw"), ("zo", "secret-pw"), ("z", "oesecret-pw"), ("", "zoesecret-pw"), ("nobody", "secret-pw")]
        for _ in range(2):
            for name, password in good:
                assert status(b, "/metrics", basic(name, password)) == 200
            for name, password in bad[:4]:
                assert status(b, "/metrics", basic(name, password)) == 401, (name, password)


def test_passwords_of_1_mb_or_with_nul_and_broken_headers_are_refused():
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe")
        for headers in ({"Authorization": "Basic " + "A" * 40000}, {"Authorization": "Basic !!!"}, {"Authorization": "Basic"},
                        {"Authorization": "Bearer"}, {"Cookie": "belfry_session=" + "a" * 30000}, basic("zoe", "secret-pw\0x")):
            assert status(b, "/metrics", headers) == 401, str(headers)[:60]
        assert login(b, "zoe", "a" * 20000)[0] == 401
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            assert login(b, "zoe", "a" * 1000000)[0] == 413
        assert b.get("/-/healthy")[0] == 200


def test_a_web_configuration_is_read_again_and_a_broken_one_is_not():
    h1, h2 = bcrypt("secret-pw"), bcrypt("secret-2nd")
    with folder() as d:
        path = os.path.join(d, "web.yml")
        write(path, "basic_auth_users: {zoe: %s}\nroles: {zoe: view}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n" % h1)
        with Belfry(d, NONE, flags=["--web.config.file=" + path, "--web.enable-lifecycle"]) as b:
            code, _, got = b.request("GET", "/metrics", headers=basic("zoe", "secret-pw"))
            assert code == 200 and got["X-Frame-Options"] == "deny"
            assert status(b, "/-/quit", basic("zoe", "secret-pw"), "POST") == 403
            write(path, "basic_auth_users: {zoe: nonsense}\n")
            assert status(b, "/metrics", basic("zoe", "secret-pw")) == 200  # the old one stays
            wait_for(lambda: "event=web_config_error" in b.output(), "log")
            for _ in range(5):
                status(b, "/metrics")
            time.sleep(1.1)
            status(b, "/metrics")
            assert b.output().count("event=web_config_error") == 1, b.output()
            write(path, "basic_auth_users: {zoe: %s}\n" % h2)
            wait_for(lambda: status(b, "/metrics", basic("zoe", "secret-2nd")) == 200, "new password")
            assert status(b, "/metrics", basic("zoe", "secret-pw")) == 401
            assert h1 not in b.output() and h2 not in b.output()
            _, flags = b.request("GET", "/api/v1/status/flags", headers=basic("zoe", "secret-2nd"))[:2]
            assert h2.encode() not in flags
            assert status(b, "/-/quit", basic("zoe", "secret-2nd"), "POST") == 200
            wait_for(lambda: not b.alive(), "quit")
        write(path, "basic_auth_users: {zoe: nonsense}\n")
        code, _, err = run(BELFRY, "server", "--web.config.file=" + path, "--web.listen-address=127.0.0.1:0", cwd=d)
        assert code == 1 and 'user "zoe"' in err and "nonsense" not in err, err


def test_check_web_config_agrees_with_promtool():
    need("promtool")
    good = "basic_auth_users: {zoe: %s}\n" % bcrypt("secret-pw")
    cases = [(good, True), ("", True), ("basic_auth_users: {zoe: x}\n", False), ("nonsense: 1\n", False),
             ("tls_server_config: {cert_file: nowhere.pem, key_file: nowhere.pem}\n", False),
             ("http_server_config: {headers: {X-Frame-Options: perhaps}}\n", False),
             ("tls_server_config: {client_auth_type: Sometimes, cert_file: a, key_file: b}\n", False)]
    with folder() as d:
        path = os.path.join(d, "web.yml")
        for text, fine in cases:
            write(path, text)
            for tool in (BELFRY, "promtool"):
                code, out, err = run(tool, "check", "web-config", path)
                assert (code == 0) == fine and ("SUCCESS" in out + err if fine else "FAILED" in err), (tool, text, out, err)


def certificate(d, name, ca=None, sans="DNS:localhost,IP:127.0.0.1", usage="serverAuth"):
    """(certificate, key) files of a new key, signed by itself or by (certificate, key)."""
    need("openssl")
    cert, key, req, ext = (os.path.join(d, name + s) for s in (".pem", ".key", ".csr", ".ext"))

    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key + ".new", "-subj", "/CN=" + name]
    if ca is None:
        openssl("req", "-x509", *new, "-out", cert + ".new", "-days", "2", "-addext", "subjectAltName=" + sans)
    else:
        openssl("req", *new, "-out", req)
        write(ext, "subjectAltName=%s\nextendedKeyUsage=%s\n" % (sans, usage))
        openssl("x509", "-req", "-in", req, "-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial", "-out", cert + ".new", "-days", "2",
                "-extfile", ext)
    os.rename(cert + ".new", cert)
    os.rename(key + ".new", key)
    return cert, key


def tls_get(port, path="/-/healthy", ca=None, client=None, version=None, ciphers=None):
    """(status, the server's certificate, TLS version, cipher)."""
    context = ssl.create_default_context(cafile=ca)
    if ca is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if client:
        context.load_cert_chain(*client)
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    with socket.create_connection(("127.0.0.1", port), 10) as raw, context.wrap_socket(raw, server_hostname="localhost") as s:
        s.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            answer += more
        if not answer:
            return 0, None, None, None
        return int(answer.split()[1]), s.getpeercert(True), s.version(), s.cipher()[0]


class Secure(Belfry):
    """A server whose listener speaks TLS."""
    def is_ready(self):
        if not self.alive():
            raise AssertionError("ended with %s:\n%s" % (self.proc.returncode, self.output()[-3000:]))
        return "event=ready" in self.output()


def refused_by_tls(*args, **more):
    try:
        return tls_get(*args, **more)[0] == 0
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return True


def test_tls_serves_new_connections_with_a_new_certificate():
    with folder() as d:
        cert, key = certificate(d, "server")
        path = os.path.join(d, "web.yml")
        write(path, "tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
        with Secure(d, NONE, flags=["--web.config.file=" + path]) as b:
            assert "page=https://" in b.output()
            code, first, version, _ = tls_get(b.port, ca=cert)
            assert code == 200 and version == "TLSv1.3"
            kept = ssl.create_default_context(cafile=cert).wrap_socket(socket.create_connection(("127.0.0.1", b.port), 10),
                                                                       server_hostname="localhost")
            certificate(d, "server")
            assert wait_for(lambda: tls_get(b.port, ca=cert)[1] != first, "new certificate")
            kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in kept.recv(1000)
            kept.close()
            write(cert, "nonsense")
            assert tls_get(b.port)[0] == 200  # the last that was good
            assert refused_by_tls(b.port, version=ssl.TLSVersion.TLSv1_1)
            with contextlib.closing(socket.create_connection(("127.0.0.1", b.port), 10)) as plain:
                plain.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
                with contextlib.suppress(OSError):
                    assert b"200" not in plain.recv(1000)
            assert b.stop() == 0


def test_tls_settings_hold():
    with folder() as d:
        cert, _ = certificate(d, "server")
        ca = certificate(d, "ca", sans="DNS:ca")
        good = certificate(d, "good", ca, "DNS:robot.example", "clientAuth")
        other = certificate(d, "other", ca, "DNS:other.example", "clientAuth")
        forged = certificate(d, "forged", sans="DNS:robot.example")
        path = os.path.join(d, "web.yml")
        base = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        write(path, base + "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  curve_preferences: [CurveP384]\n")
        with Secure(d, NONE, flags=["--web.config.file=" + path]) as b:
            assert tls_get(b.port, ca=cert)[2:] == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
            assert refused_by_tls(b.port, ca=cert, version=ssl.TLSVersion.TLSv1_3)
            assert refused_by_tls(b.port, ca=cert, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
            # the same server, another file: client certificates
            write(path, base + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n")
            wait_for(lambda: refused_by_tls(b.port, ca=cert), "client certificates are required")
            assert tls_get(b.port, ca=cert, client=good)[0] == 200 and tls_get(b.port, ca=cert, client=other)[0] == 200
            assert refused_by_tls(b.port, ca=cert, client=forged)
            write(path, base + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [robot.example]\n")
            wait_for(lambda: refused_by_tls(b.port, ca=cert, client=other), "another name is refused")
            assert tls_get(b.port, ca=cert, client=good)[0] == 200
            write(path, base + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n")
            wait_for(lambda: tls_get(b.port, ca=cert)[0] == 200, "none is fine")
            assert refused_by_tls(b.port, ca=cert, client=forged)
            write(path, base + "  client_auth_type: RequireAnyClientCert\n")
            wait_for(lambda: tls_get(b.port, ca=cert, client=forged)[0] == 200, "any is fine")
            assert refused_by_tls(b.port, ca=cert)
            assert b.stop() == 0


def test_a_prefix_stands_before_all_paths():
    with folder() as d, Belfry(d, NONE, flags=["--web.external-url=https://mon.example/belfry/"], ready=False) as b:
        wait_for(lambda: b.get("/belfry/-/ready")[0] == 200, "ready")
        user(d, "add", "zoe")
        for path, code, to in [("/", 302, "/belfry/"), ("/belfry", 302, "/belfry/"), ("/metrics", 404, None), ("/belfryx/metrics", 404, None)]:
            got = b.request("GET", path)
            assert got[0] == code and got[2].get("Location") == to, (path, got)
        page = b.request("GET", "/belfry/graph", headers={"Accept": "text/html"})
        assert page[0] == 303 and page[2]["Location"] == "/belfry/login?next=/belfry/graph", page[2]
        code, body, got = b.request("POST", "/belfry/login", "user=zoe&password=secret-pw&next=/belfry/graph",
                                    {"Content-Type": "application/x-www-form-urlencoded", "Host": "10.0.0.1", "Origin": "https://mon.example"})
        assert code == 303 and got["Location"] == "/belfry/graph", (code, body)
        assert "Path=/belfry/;" in got["Set-Cookie"] and "Secure" in got["Set-Cookie"]
        session = {"Cookie": got["Set-Cookie"].split(";")[0]}
        html = b.request("GET", "/belfry/graph", headers=session)[1].decode()
        assert 'href="/' not in html and 'src="/' not in html
        assert b.request("GET", "/belfry/api/v1/nowhere", headers=session)[2]["Content-Type"] == "application/json"
    with folder() as d, Belfry(d, flags=["--web.route-prefix=belfry"], ready=False) as b:  # it watches itself there
        wait_for(lambda: b'"1"]' in b.get("/belfry/api/v1/query", query='up{job="belfry"}')[1], "its own metrics")
    with folder() as d, Belfry(d, NONE, flags=["--web.external-url=http://h/x", "--web.route-prefix=/"]) as b:
        assert b.get("/metrics")[0] == 200


def test_other_origins_read_only_what_the_flag_names():
    with folder() as d, Belfry(d, NONE, flags=["--web.cors.origin=https://(a|b)[.]example"]) as b:
        for origin, want in [("https://a.example", "https://a.example"), ("https://a.example.evil", None), ("xhttps://a.example", None),
                             ("null", None), ("http://a.example", None)]:
            _, _, got = b.request("GET", "/api/v1/labels", headers={"Origin": origin})
            assert got.get("Access-Control-Allow-Origin") == want and "Access-Control-Allow-Credentials" not in got, (origin, got)
    with folder() as d, Belfry(d, NONE) as b:
        assert "Access-Control-Allow-Origin" not in b.request("GET", "/api/v1/labels", headers={"Origin": "https://a.example"})[2]


def test_a_state_db_that_cannot_be_read_opens_nothing():
    with folder() as d, Belfry(d, NONE) as b:
        user(d, "add", "zoe")
        assert status(b, "/metrics", basic("zoe", "secret-pw")) == 200
    with folder() as d:
        os.mkdir(os.path.join(d, "data"))
        with Belfry(d, NONE) as b:
            assert status(b, "/metrics") == 200
            write(os.path.join(d, "data/state.db"), "x" * 8192)
            assert status(b, "/metrics") == 401
            wait_for(lambda: "event=state_db_error" in b.output(), "log")
            time.sleep(1.1)
            assert status(b, "/metrics") == 401 and b.output().count("event=state_db_error") == 1
