# SPDX-License-Identifier: Apache-2.0
"""Notifications of the server itself, asked and live."""
import http.client
import json
import os

from harness import Belfry, folder, wait_for

FAILED = "Configuration reload has failed."


class Listener:
    """A reader of /api/v1/notifications/live."""

    def __init__(self, b):
        self.connection = http.client.HTTPConnection("127.0.0.1", b.port, timeout=60)
        self.connection.request("GET", "/api/v1/notifications/live", headers={"Accept-Encoding": "gzip"})
        self.answer = self.connection.getresponse()

    def event(self):
        """The next one; None at the end."""
        while True:
            line = self.answer.readline().decode()
            if not line:
                return None
            if line.startswith("data: "):
                return json.loads(line[6:])

    def close(self):
        self.connection.close()


def write(d, text):
    with open(d + "/prometheus.yml.new", "w") as f:
        f.write(text)
    os.rename(d + "/prometheus.yml.new", d + "/prometheus.yml")


def test_notifications_are_told_live_and_end_with_the_server():
    with folder() as d, Belfry(d, "global: {}\n", ["--web.enable-lifecycle", "--web.max-notifications-subscribers=2"]) as b:
        assert b.api("notifications") == []
        first = Listener(b)
        assert first.answer.status == 200 and first.answer.headers["Content-Type"] == "text/event-stream"
        write(d, "wrong: true\n")
        assert b.request("POST", "/-/reload")[0] == 500
        told = first.event()
        assert told["text"] == FAILED and told["active"], told
        assert b.api("notifications") == [told]
        second = Listener(b)
        assert second.event() == told
        refused = Listener(b)  # 204 tells a browser not to come again
        assert refused.answer.status == 204 and refused.answer.read() == b""
        second.close()

        def again():
            listener = Listener(b)
            if listener.answer.status == 200:
                return listener
            listener.close()
        second = wait_for(again, "a place is free again", 30)
        assert second.event() == told
        write(d, "global: {}\n")
        assert b.request("POST", "/-/reload")[0] == 200
        for listener in (first, second):
            assert listener.event() == {**told, "active": False}
        assert b.api("notifications") == []
        assert b.stop() == 0
        for listener in (first, second):
            last = listener.event()
            assert "shutting down" in last["text"] and last["active"], last
            assert listener.event() is None
