# SPDX-License-Identifier: Apache-2.0
"""Chat services as their documentation says they behave: one server on a loopback port that refuses what the real one refuses,
in its words, and keeps what it took. A check returns (status, answer, what it keeps); an answer is JSON unless it is a text."""
import html.parser
import http.server
import json
import re
import threading
import urllib.parse

SLACK_HOOK, SLACK_TOKEN = "/services/T024BE7LD/B0353XQ1A/s1ackS3cret", "xoxb-1-s1ackS3cret"
DISCORD_HOOK = "/api/webhooks/223704706495545344/d1scordS3cret"
TEAMS_HOOK = "/webhookb2/0c5@1f/IncomingWebhook/t3amsS3cret/9"
FLOW_HOOK = "/workflows/a1/triggers/manual/paths/invoke?api-version=2016-06-01&sig=fl0wS3cret"
MATTERMOST_HOOK = "/hooks/matt3rmostS3cretxxxxxxxxx"
ROCKET_USER, ROCKET_TOKEN = "rocketUserId00000", "r0cketS3cret"
TELEGRAM_TOKEN, TELEGRAM_CHAT, TELEGRAM_OLD_CHAT = "123456:t3legramS3cret", -1001234567890, -55
WEBEX_TOKEN, WEBEX_ROOM = "w3bexS3cret", "Y2lzY29zcGFyazovL3VzL1JPT00vYmJj"
WECHAT_CORP, WECHAT_SECRET = "ww8e09372aff8d9190", "w3chatS3cret&?"
SECRET_WORD = "S3cret"


class Refused(Exception):
    def __init__(self, status, body, **headers):
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.headers, self.body, self.target = method, headers, body, target
        parts = urllib.parse.urlsplit(target)
        self.path, self.query = parts.path, dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))

    def json(self, refusal):
        """The object it holds; `refusal` when it is none, or is not called JSON."""
        try:
            e = json.loads(self.body)
        except ValueError:
            raise refusal
        if self.headers.get("content-type", "").split(";")[0] != "application/json" or not isinstance(e, dict):
            raise refusal
        return e


def text(value, most, least=0):
    return isinstance(value, str) and least <= len(value) <= most


def is_url(value):
    return isinstance(value, str) and re.match(r"https?://[^\s/]+", value) is not None


# --- Slack: docs.slack.dev, "Sending messages using incoming webhooks", chat.postMessage, chat.update, legacy attachments ---

def slack_word(e):
    """The word for what is wrong with a message; None when it is right."""
    attachments = e.get("attachments", [])
    if not isinstance(attachments, list) or not all(isinstance(a, dict) for a in attachments):
        return "invalid_attachments"
    if not e.get("text") and not attachments:
        return "no_text"
    if len(attachments) > 100:
        return "too_many_attachments"
    if not text(e.get("text", ""), 40000):
        return "msg_too_long"
    for a in attachments:
        for name in ("fallback", "color", "pretext", "title", "title_link", "text", "footer", "image_url", "thumb_url", "callback_id"):
            if not text(a.get(name, ""), 1024 if name == "title" else 1 << 20):
                return "invalid_attachments"
        if not set(a.get("mrkdwn_in", [])) <= {"fallback", "pretext", "text", "fields"}:
            return "invalid_attachments"
        for f in a.get("fields", []):
            if not text(f.get("title"), 1000) or not text(f.get("value"), 8000) or not isinstance(f.get("short"), bool):
                return "invalid_attachments"
        if len(a.get("actions", [])) > 5:
            return "invalid_attachments"
        for x in a.get("actions", []):
            if x.get("type") not in ("button", "select") or not text(x.get("text"), 1000, 1) or not (x.get("url") or x.get("name")):
                return "invalid_attachments"
            if not text(x.get("confirm", {"text": "?"}).get("text"), 1000, 1):
                return "invalid_attachments"
    return None


def slack_hook(r):
    if r.path != SLACK_HOOK:
        raise Refused(403, "invalid_token")
    e = r.json(Refused(400, "invalid_payload"))
    word = slack_word(e)
    if word:
        raise Refused(400, word)
    if e.get("channel") == "#nowhere":
        raise Refused(404, "channel_not_found")
    return 200, "ok", e


class SlackApi:
    def __init__(self):
        self.messages = {}

    def __call__(self, r):
        refuse = lambda word: Refused(200, {"ok": False, "error": word})  # noqa: E731
        if r.headers.get("authorization") != "Bearer " + SLACK_TOKEN:
            raise refuse("invalid_auth" if "authorization" in r.headers else "not_authed")
        e = r.json(refuse("invalid_json"))
        word = slack_word(e)
        if word:
            raise refuse(word)
        if e.get("channel") not in ("#ops", "C0OPS"):
            raise refuse("channel_not_found")
        if r.path == "/api/chat.postMessage":
            ts = "1503435956.%06d" % (len(self.messages) + 1)
        elif r.path == "/api/chat.update":
            ts = e.get("ts")
            if (e["channel"], ts) not in self.messages:
                raise refuse("message_not_found")
        else:
            raise refuse("unknown_method")
        self.messages["C0OPS", ts] = e
        return 200, {"ok": True, "channel": "C0OPS", "ts": ts, "message": {}}, e


# --- Discord: discord.com/developers/docs, "Execute Webhook", "Embed Limits", "Usernames" ---

def discord(r):
    def wrong(where, why):
        return Refused(400, {"message": "Invalid Form Body", "code": 50035, "errors": {where: {"_errors": [{"message": why}]}}})
    if r.path != DISCORD_HOOK:
        raise Refused(401, {"message": "Invalid Webhook Token", "code": 50027})
    e = r.json(Refused(400, {"message": "The request body contains invalid JSON.", "code": 50109}))
    embeds = e.get("embeds", [])
    if not text(e.get("content", ""), 2000):
        raise wrong("content", "Must be 2000 or fewer in length.")
    if len(embeds) > 10:
        raise wrong("embeds", "Must be 10 or fewer in length.")
    total = 0
    for m in embeds:
        if not text(m.get("title", ""), 256) or not text(m.get("description", ""), 4096):
            raise wrong("embeds", "Must be 256 or 4096 or fewer in length.")
        if type(m.get("color", 0)) is not int or not 0 <= m.get("color", 0) <= 0xffffff:
            raise wrong("embeds", "Int value should be between 0 and 16777215.")
        total += len(m.get("title", "")) + len(m.get("description", ""))
    if total > 6000:
        raise wrong("embeds", "Embed size exceeds maximum size of 6000")
    if not e.get("content") and not total:
        raise Refused(400, {"message": "Cannot send an empty message", "code": 50006})
    name = e.get("username")
    if name is not None and (not text(name, 80, 1) or re.search("discord|clyde", name, re.I)):
        raise wrong("username", "Username cannot contain that")
    if e.get("avatar_url") is not None and not is_url(e["avatar_url"]):
        raise wrong("avatar_url", "Not a well formed URL.")
    return 204, None, e


# --- Microsoft Teams: learn.microsoft.com, "Message card reference", "Create Incoming Webhooks"; adaptivecards.io ---

def teams_connector(r):
    if r.path != TEAMS_HOOK:
        raise Refused(404, "Webhook Bad Request - Null or empty event")
    if len(r.body) > 28 * 1024:
        raise Refused(200, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with ContextId "
                           "tcid=0,server=X,cv=Y..")
    e = r.json(Refused(400, "Bad payload received by generic incoming webhook."))
    if e.get("type", e.get("@type")) != "MessageCard" or e.get("@context") not in ("http://schema.org/extensions", "https://schema.org/extensions"):
        raise Refused(400, "Bad payload received by generic incoming webhook.")
    if not e.get("summary") and not e.get("text"):
        raise Refused(400, "Summary or Text is required.")
    if not re.fullmatch("[0-9A-Fa-f]{6}", e.get("themeColor", "000000")):
        raise Refused(400, "Bad payload received by generic incoming webhook.")
    return 200, "1", e


def teams_flow(r):
    bad = Refused(400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "The input body for trigger is not valid."}})
    if r.query.get("sig") != "fl0wS3cret":
        raise Refused(401, {"error": {"code": "DirectApiInvalidAuthorizationScheme"}})
    if len(r.body) > 28 * 1024:
        raise Refused(413, {"error": {"code": "RequestEntityTooLarge"}})
    e = r.json(bad)
    if e.get("type") != "message" or not e.get("attachments"):
        raise bad
    for a in e["attachments"]:
        card = a.get("content", {})
        if a.get("contentType") != "application/vnd.microsoft.card.adaptive" or card.get("type") != "AdaptiveCard":
            raise bad
        if card.get("version") not in ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5") or card.get("msteams", {}).get("width") not in (None, "Full", "full"):
            raise bad
        for b in card["body"]:
            if b.get("type") != "TextBlock" or not isinstance(b.get("text"), str) or not isinstance(b.get("wrap", True), bool):
                raise bad
            if (b.get("color", "Default") not in ("Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention") or
                    b.get("size", "Default") not in ("Default", "Small", "Medium", "Large", "ExtraLarge") or
                    b.get("weight", "Default") not in ("Default", "Lighter", "Bolder")):
                raise bad
    return 202, "", e


# --- Mattermost: developers.mattermost.com, "Incoming webhooks", "Message attachments", "Message priority" ---

def mattermost(r):
    if r.path != MATTERMOST_HOOK:
        raise Refused(400, {"id": "web.incoming_webhook.invalid.app_error", "message": "Invalid webhook.", "status_code": 400})
    bad = Refused(400, {"id": "api.webhook.incoming.error", "message": "Could not decode the payload of incoming webhook.", "status_code": 400})
    e = r.json(bad)
    if not e.get("text") and not e.get("attachments"):
        raise Refused(400, {"id": "web.incoming_webhook.text.app_error", "message": "No text specified.", "status_code": 400})
    if not text(e.get("text", ""), 16383) or (e.get("type") and not e["type"].startswith("custom_")):
        raise bad
    for a in e.get("attachments", []):
        if not all(isinstance(v, str) for k, v in a.items() if k != "fields"):
            raise bad
        for f in a.get("fields", []):
            if not text(f.get("title"), 1000) or "value" not in f or not isinstance(f.get("short", False), bool):
                raise bad
    p = e.get("priority", {"priority": "standard"})
    if p.get("priority") not in ("standard", "important", "urgent"):
        raise bad
    if p.get("persistent_notifications") and p["priority"] != "urgent":
        raise Refused(400, {"id": "api.post.post_priority.urgent_persistent_notification_post.request_error", "message": "Invalid persistent notification"})
    if p.get("requested_ack") and p["priority"] == "standard":
        raise bad
    if e.get("channel") == "nowhere":
        raise Refused(404, {"id": "web.incoming_webhook.channel.app_error", "message": "Couldn't find the channel.", "status_code": 404})
    return 200, "ok", e


# --- Rocket.Chat: developer.rocket.chat, "Send Message" (chat.postMessage) ---

def rocketchat(r):
    if r.headers.get("x-auth-token") != ROCKET_TOKEN or r.headers.get("x-user-id") != ROCKET_USER:
        raise Refused(401, {"status": "error", "message": "You must be logged in to do this."})
    if r.path != "/api/v1/chat.postMessage":
        raise Refused(404, {"success": False, "error": "API Endpoint not found"})
    e = r.json(Refused(400, {"success": False, "error": "Invalid JSON"}))
    if e.get("channel", e.get("roomId")) not in ("#ops", "@oncall"):
        raise Refused(400, {"success": False, "error": "[invalid-channel]", "errorType": "invalid-channel"})
    for a in e.get("attachments", []):
        for f in a.get("fields", []):
            if not isinstance(f.get("short"), bool) or not text(f.get("title"), 1000, 1) or not text(f.get("value"), 10000, 1):
                raise Refused(400, {"success": False, "error": "Match error: attachments.fields"})
        for x in a.get("actions", []):
            if x.get("type") != "button" or not (x.get("text") or x.get("image_url")) or not isinstance(x.get("is_webview", False), bool):
                raise Refused(400, {"success": False, "error": "Match error: attachments.actions"})
    return 200, {"ts": 1481748965123, "channel": "ops", "message": {}, "success": True}, e


# --- Telegram: core.telegram.org/bots/api, "sendMessage", "Formatting options". It reads every parameter as a text, too. ---

class Markup(html.parser.HTMLParser):
    """What is seen of HTML as Telegram takes it."""
    TAGS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span", "tg-spoiler", "a", "tg-emoji", "code", "pre", "blockquote"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.seen = [], ""

    def handle_starttag(self, tag, attributes):
        if tag not in self.TAGS:
            raise ValueError('Unsupported start tag "%s"' % tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise ValueError("Unmatched end tag")

    def handle_data(self, data):
        self.seen += data


def telegram_seen(message, mode):
    if mode == "HTML":
        m = Markup()
        m.feed(message)
        m.close()
        if m.open:
            raise ValueError("Can't find end tag corresponding to start tag " + m.open[-1])
        return m.seen
    if mode == "MarkdownV2":
        plain = re.sub(r"\\.", "", message)
        for c in "#+-={}.!>":
            if c in plain:
                raise ValueError("Character '%s' is reserved and must be escaped" % c)
        if plain.count("*") % 2 or plain.count("_") % 2 or plain.count("`") % 2:
            raise ValueError("Can't find end of the entity")
    return message


def telegram(r):
    def refuse(status, why, **parameters):
        return Refused(status, {"ok": False, "error_code": status, "description": why, **({"parameters": parameters} if parameters else {})})
    if not r.path.startswith("/bot" + TELEGRAM_TOKEN + "/"):
        raise refuse(401, "Unauthorized")
    if not r.path.endswith("/sendMessage"):
        raise refuse(404, "Not Found: method not found")
    e = r.json(refuse(400, "Bad Request: message text is empty"))
    if str(e.get("chat_id")) == str(TELEGRAM_OLD_CHAT):
        raise refuse(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=TELEGRAM_CHAT)
    if str(e.get("chat_id")) != str(TELEGRAM_CHAT):
        raise refuse(400, "Bad Request: chat not found")
    if e.get("parse_mode", "") not in ("", "HTML", "Markdown", "MarkdownV2"):
        raise refuse(400, "Bad Request: unsupported parse_mode")
    for name in ("disable_web_page_preview", "disable_notification"):
        if e.get(name, False) not in (True, False, "true", "false"):
            raise refuse(400, "Bad Request: field %s must be a Boolean" % name)
    if not re.fullmatch(r"\d+", str(e.get("message_thread_id", 1))):
        raise refuse(400, "Bad Request: message thread not found")
    try:
        seen = telegram_seen(e.get("text", ""), e.get("parse_mode"))
    except ValueError as why:
        raise refuse(400, "Bad Request: can't parse entities: %s" % why)
    if not seen.strip():
        raise refuse(400, "Bad Request: message text is empty")
    if len(seen) > 4096 or len(e["text"].encode()) > 1 << 15:
        raise refuse(400, "Bad Request: message is too long")
    return 200, {"ok": True, "result": {"message_id": 5, "date": 1, "chat": {"id": TELEGRAM_CHAT, "type": "supergroup"}, "text": seen}}, e


# --- Webex: developer.webex.com, "Create a Message" ---

def webex(r):
    def refuse(status, why):
        return Refused(status, {"message": why, "errors": [{"description": why}], "trackingId": "ROUTER_1"})
    if r.headers.get("authorization") != "Bearer " + WEBEX_TOKEN:
        raise refuse(401, "The request requires a valid access token set in the Authorization request header.")
    e = r.json(refuse(400, "Request body is not JSON"))
    if e.get("roomId") != WEBEX_ROOM:
        raise refuse(404, "Could not find a room with provided ID.")
    if not e.get("markdown") and not e.get("text"):
        raise refuse(400, "Message cannot be empty")
    if len(e["markdown"].encode()) > 7439:
        raise refuse(400, "Message length limited to 7439 bytes")
    return 200, {"id": "m1", "roomId": WEBEX_ROOM, "markdown": e["markdown"]}, e


# --- WeCom: developer.work.weixin.qq.com, documents 91039 (gettoken) and 90236 (message/send) ---

class Wechat:
    def __init__(self):
        self.tokens = 0

    def expire(self):
        self.tokens += 1

    def __call__(self, r):
        refuse = lambda code, why: Refused(200, {"errcode": code, "errmsg": why})  # noqa: E731
        token = "token/%d+S3cret" % self.tokens
        if r.path == "/cgi-bin/gettoken":
            if r.method != "GET" or r.query.get("corpid") != WECHAT_CORP:
                raise refuse(40013, "invalid corpid")
            if r.query.get("corpsecret") != WECHAT_SECRET:
                raise refuse(40001, "invalid credential")
            return 200, {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200}, None
        if r.path != "/cgi-bin/message/send" or r.method != "POST":
            raise Refused(404, "")
        if "access_token" not in r.query:
            raise refuse(41001, "access_token missing")
        if r.query["access_token"] != token:
            raise refuse(42001, "access_token expired")
        e = r.json(refuse(47001, "data format error"))
        kind = e.get("msgtype")
        if kind not in ("text", "markdown"):
            raise refuse(40008, "invalid message type")
        if not re.fullmatch(r"\d+", str(e.get("agentid", ""))):
            raise refuse(40056, "invalid agentid")
        if not any(e.get(name) for name in ("touser", "toparty", "totag")):
            raise refuse(40031, "invalid userid list")
        if e.get("touser") == "nobody":
            raise refuse(81013, "user & party & tag all invalid")
        if not 0 < len(e.get(kind, {}).get("content", "").encode()) <= 2048:
            raise refuse(40058, "invalid parameter, content size out of limit")
        return 200, {"errcode": 0, "errmsg": "ok", "invaliduser": "", "msgid": "m"}, e


class Services:
    def __init__(self):
        self.lock, self.accepted, self.refused, self.failures = threading.Lock(), [], [], []
        self.slack_api, self.wechat = SlackApi(), Wechat()
        self.routes = [("/services/", "slack", slack_hook), ("/api/chat.", "slack_api", self.slack_api), ("/api/webhooks/", "discord", discord),
                       ("/webhookb2/", "msteams", teams_connector), ("/workflows/", "msteamsv2", teams_flow), ("/hooks/", "mattermost", mattermost),
                       ("/api/v1/", "rocketchat", rocketchat), ("/bot", "telegram", telegram), ("/v1/messages", "webex", webex),
                       ("/cgi-bin/", "wechat", self.wechat)]
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                status, extra, answer = outer.answer(Request(self.command, self.path, headers, body))
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = serve

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that goes away

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, status, body, **headers):
        """The next request is answered with this, whatever it is."""
        self.failures.append(Refused(status, body, **{k.replace("_", "-"): v for k, v in headers.items()}))

    def answer(self, r):
        headers = {}
        with self.lock:
            try:
                if self.failures:
                    raise self.failures.pop(0)
                kind, check = next((k, c) for prefix, k, c in self.routes if r.path.startswith(prefix))
                status, body, kept = check(r)
                if kept is not None:
                    self.accepted.append((kind, kept))
            except Refused as e:
                status, body, headers = e.status, e.body, e.headers
                self.refused.append((status, body, r.target, r.body))
            except Exception as e:  # a request that the checks do not even understand
                status, body = 400, repr(e)
                self.refused.append((status, body, r.target, r.body))
        if body is None:
            return status, headers, b""
        if isinstance(body, str):
            return status, {"Content-Type": "text/html", **headers}, body.encode()
        return status, {"Content-Type": "application/json; charset=utf-8", **headers}, json.dumps(body).encode()

    def took(self, kind):
        with self.lock:
            return [e for k, e in self.accepted if k == kind]
