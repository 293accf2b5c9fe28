# SPDX-License-Identifier: Apache-2.0
"""Clients of imgforge: a steady mix of what a site's visitors ask for, and of what goes wrong."""
import base64
import collections
import hashlib
import hmac
import http.client
import itertools
import random
import threading
import time


class Signer:
    """Signs as docs and specification say: HMAC-SHA256 over salt and path, in URL-safe Base64 without padding."""

    def __init__(self, key, salt):
        self.key, self.salt = bytes.fromhex(key), bytes.fromhex(salt)

    def path(self, path, before=""):
        digest = hmac.new(self.key, self.salt + path.encode(), hashlib.sha256).digest()
        return before + "/" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode() + path


POPULAR = ("rs:fill:320:240", "rs:fit:640:0", "rs:fill:96:96/q:70", "rs:fit:800:600/sh:0.6", "rs:auto:480:480/bl:1.5")
FORMATS = ("jpg", "webp", "jpg", "png", "webp", "avif", "jpg", "gif", "webp", "tiff")

# How often, of 1000 requests: what a site sees. `popular` asks for one of some 60 URLs, which soon are in the cache.
MIX = {"popular": 640, "unchanged": 120, "new": 80, "information": 90, "bad_option": 12, "bad_signature": 12, "expired": 10,
       "unrouted": 10, "missing_source": 10, "failing_source": 8, "slow_source": 4, "cut_source": 4}


class Load:
    """`rate` requests a second by `clients` threads while the with block lasts. counts: statuses so far."""

    def __init__(self, port, signer, origin, names, rate=30.0, clients=4, seed=1):
        self.port, self.signer, self.origin, self.names = port, signer, origin, names
        self.counts = collections.Counter()
        self.etags = {}
        self.stopped = threading.Event()
        self.serial = itertools.count()
        self.threads = [threading.Thread(target=self.client, args=(random.Random(seed * 1000 + i), clients / rate), daemon=True)
                        for i in range(clients)]

    def popular(self, rng):
        """Few are asked for often, many seldom."""
        at = min(int(rng.expovariate(0.12)), 59)
        name = self.names[at * 7 % len(self.names)]
        path = "/%s/plain/%s/photos/%s@%s" % (POPULAR[at % len(POPULAR)], self.origin, name, FORMATS[at % len(FORMATS)])
        return self.signer.path(path)

    def request(self, rng):
        """(path, headers) of the next one."""
        kind = rng.choices(list(MIX), MIX.values())[0]
        photo = "plain/%s/photos/%s" % (self.origin, rng.choice(self.names))
        headers = {}
        sign, serial = self.signer.path, next(self.serial)
        if kind == "popular":
            path = self.popular(rng)
        elif kind == "unchanged":
            path = self.popular(rng)
            if path in self.etags:
                headers["If-None-Match"] = self.etags[path]
        elif kind == "new":
            path = sign("/rs:fit:%d:0/cb:%d/%s@%s" % (rng.randrange(100, 700), serial, photo, rng.choice(FORMATS)))
        elif kind == "information":
            path = sign("/cb:%d/%s" % (rng.randrange(8), photo), "/info")
        elif kind == "bad_option":
            path = sign("/rs:fill:nothing:100/" + photo)
        elif kind == "bad_signature":
            path = "/" + "A" * 43 + "/rs:fit:100:100/" + photo
        elif kind == "expired":
            path = sign("/exp:1000000000/" + photo)
        elif kind == "unrouted":
            path = "/nothing-here"
        else:
            source = {"missing_source": "photos/lost.jpg", "failing_source": "status/500",
                      "slow_source": "slow/2/" + self.names[0], "cut_source": "cut/" + self.names[0]}[kind]
            path = sign("/cb:%d/plain/%s/%s@jpg" % (serial, self.origin, source))
        return path, headers

    def client(self, rng, pause):
        connection = None
        due = time.monotonic() + rng.random() * pause
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic() - 1)  # who was held up does not catch up for ever
            path, headers = self.request(rng)
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                self.counts[answer.status] += 1
                if answer.getheader("ETag"):
                    self.etags[path] = answer.getheader("ETag")
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException):
                self.counts["no answer"] += 1
                connection.close()
                connection = None
        if connection:
            connection.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for t in self.threads:
            t.join(5)
