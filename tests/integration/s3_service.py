# SPDX-License-Identifier: Apache-2.0
"""A server that speaks as much of S3 as a cache needs, path-style, and believes nobody: it computes the AWS Signature Version 4 of
each request itself and refuses what is signed wrongly, too old, or by a stranger. `fault` may be set to a function of
(handler) that answers in its place when it returns true."""
import contextlib
import datetime
import hashlib
import hmac
import http.server
import socket
import ssl
import threading
import urllib.parse

NOW = datetime.timezone.utc
SKEW_SECONDS = 15 * 60


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def canonical_request(method, path, query, headers, signed, payload_hash):
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    encoded = "&".join("%s=%s" % (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~")) for k, v in pairs)
    lines = "".join("%s:%s\n" % (name, " ".join(headers[name].split())) for name in signed)
    return "\n".join([method, path, encoded, lines, ";".join(signed), payload_hash])


class S3:
    """objects: {bucket: {key: bytes}}; log: (method, path, status)."""

    def __init__(self, buckets=("pictures",), access="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                 region="eu-central-1", token=None, certificate=None, port=0, deny_absent=False, host="127.0.0.1"):
        self.objects = {b: {} for b in buckets}
        self.access, self.secret, self.region, self.token = access, secret, region, token
        self.deny_absent, self.fault, self.log, self.connections = deny_absent, None, [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                outer.connections += 1
                super().setup()

            def log_message(self, *_):
                pass

            def answer(self, status, body=b"", content_type="application/xml"):
                outer.log.append((self.command, self.path, status))
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def fail(self, status, code):
                self.answer(status, ("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>no</Message>"
                                     "<StringToSign>secret stuff</StringToSign></Error>" % code).encode())

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if outer.fault and outer.fault(self):
                    self.close_connection = True
                    return
                problem = outer.verify(self, body)
                if problem:
                    return self.fail(*problem)
                _, bucket, key = (urllib.parse.unquote(self.path.split("?")[0]) + "//").split("/", 2)
                key = key.rstrip("/")
                if bucket not in outer.objects:
                    return self.fail(404, "NoSuchBucket")
                objects = outer.objects[bucket]
                if self.command == "PUT":
                    objects[key] = body
                    return self.answer(200)
                if key in objects:
                    return self.answer(200, objects[key], "application/octet-stream")
                return self.fail(403, "AccessDenied") if outer.deny_absent else self.fail(404, "NoSuchKey")

            do_GET = do_PUT = do

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, *_):
                pass

        self.server = Server((host, port), Handler)
        self.port = self.server.server_address[1]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "%s://%s:%d" % ("https" if certificate else "http", "[%s]" % host if ":" in host else "localhost", self.port)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def verify(self, handler, body):
        """None, or (status, code) as S3 answers."""
        headers = {}
        for name, value in handler.headers.items():
            headers[name.lower()] = headers[name.lower()] + "," + value if name.lower() in headers else value
        authorization = headers.get("authorization", "")
        if not authorization.startswith("AWS4-HMAC-SHA256 "):
            return 403, "AccessDenied"
        parts = dict(p.strip().split("=", 1) for p in authorization[len("AWS4-HMAC-SHA256 "):].split(","))
        scope = parts["Credential"].split("/")
        signed = parts["SignedHeaders"].split(";")
        date = headers.get("x-amz-date", "")
        if scope[0] != self.access:
            return 403, "InvalidAccessKeyId"
        if self.token is not None and headers.get("x-amz-security-token") != self.token:
            return 403, "InvalidToken"
        if scope[2:] != [self.region, "s3", "aws4_request"] or scope[1] != date[:8]:
            return 400, "AuthorizationHeaderMalformed"
        when = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=NOW)
        if abs((datetime.datetime.now(NOW) - when).total_seconds()) > SKEW_SECONDS:
            return 403, "RequestTimeTooSkewed"
        must = {"host"} | {h for h in headers if h.startswith("x-amz-")}
        if not must <= set(signed):
            return 403, "SignatureDoesNotMatch"
        actual = hashlib.sha256(body).hexdigest()
        stated = headers.get("x-amz-content-sha256")
        if stated is None:
            return 400, "MissingSecurityHeader"
        if stated != actual and stated != "UNSIGNED-PAYLOAD":
            return 400, "XAmzContentSHA256Mismatch"
        path, _, query = handler.path.partition("?")
        canonical = canonical_request(handler.command, path, query, headers, signed, stated)
        to_sign = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope[1:]), hashlib.sha256(canonical.encode()).hexdigest()])
        key = hmac_sha256(("AWS4" + self.secret).encode(), scope[1])
        for part in scope[2:]:
            key = hmac_sha256(key, part)
        right = hmac_sha256(key, to_sign).hex()
        return None if hmac.compare_digest(right, parts["Signature"]) else (403, "SignatureDoesNotMatch")

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
