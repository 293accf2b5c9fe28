# SPDX-License-Identifier: Apache-2.0
"""Services that page people or keep issues, as their documentation says they behave: one server on a loopback port that
refuses what the real one refuses, in its words, and keeps what it took.

Fixed hosts (Pushover, PagerDuty's version 1) are reached by proxy_url: the server answers CONNECT and speaks TLS for the host
with a certificate of its own (Services.ca_file)."""
import datetime
import hashlib
import hmac
import http.server
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.parse
import xml.sax.saxutils

PAGERDUTY_KEY = "0123456789abcdef0123456789abcdef"
OPSGENIE_KEY = "11111111-2222-3333-4444-555555555555"
VICTOROPS_KEY = "99999999-aaaa-bbbb-cccc-dddddddddddd"
PUSHOVER_TOKEN, PUSHOVER_USER = "azGDORePK8gMaC0QOYAMyEEuzJnyUi", "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"
AWS_KEYS = {"AKIDBELFRY": ("wJalrXUtnFEMI/K7MDENG", None), "ASIATEMPORARY": ("temporary/secret", "token/of+the=role")}
JIRA_TOKEN = "jira-token"
INCIDENTIO_TOKEN = "incident-io-token"
SECRETS = [PAGERDUTY_KEY, OPSGENIE_KEY, VICTOROPS_KEY, PUSHOVER_TOKEN, PUSHOVER_USER, "wJalrXUtnFEMI", "temporary/secret",
           "token/of+the", JIRA_TOKEN, INCIDENTIO_TOKEN]


class Refused(Exception):
    def __init__(self, status, body, **headers):
        super().__init__(status, body)
        self.status, self.body, self.headers = status, body, headers


class Request:
    def __init__(self, method, target, headers, body, tls):
        self.method, self.headers, self.body, self.tls = method, headers, body, tls
        parts = urllib.parse.urlsplit(target)
        self.target, self.path, self.query = target, parts.path, urllib.parse.parse_qs(parts.query, keep_blank_values=True)

    def json(self):
        if self.headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refused(415, {"message": "Content-Type must be application/json"})
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused(400, {"message": "body is not JSON"})

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


def text(value, least, most):
    return isinstance(value, str) and least <= len(value) <= most


# --- PagerDuty: developer.pagerduty.com, "Send an Alert Event" (v2) and "Send a v1 Event" ---

def pagerduty_v2(r):
    errors, e = [], r.json()
    if len(r.body) > 512000:
        raise Refused(413, {"status": "invalid event", "message": "event is too large"})
    if not text(e.get("routing_key"), 32, 32):
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if e.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is invalid")
    if e.get("event_action") != "trigger" and not e.get("dedup_key"):
        errors.append("'dedup_key' is missing or blank")
    if not text(e.get("dedup_key", ""), 0, 255):
        errors.append("'dedup_key' is too long")
    payload = e.get("payload") if isinstance(e.get("payload"), dict) else {}
    if e.get("event_action") == "trigger" or payload:
        if not text(payload.get("summary"), 1, 1024):
            errors.append("'payload.summary' is missing or blank")
        if not text(payload.get("source"), 1, 10000):
            errors.append("'payload.source' is missing or blank")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            errors.append("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')")
        if not isinstance(payload.get("custom_details", {}), dict):
            errors.append("'payload.custom_details' is no object")
    errors += ["'image src' is missing or blank" for i in e.get("images", []) if not i.get("src")]
    errors += ["'link href' is missing or blank" for i in e.get("links", []) if not i.get("href")]
    if errors:
        raise Refused(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
    return 202, {"status": "success", "message": "Event processed", "dedup_key": e["dedup_key"]}, e


def pagerduty_v1(r):
    errors, e = [], r.json()
    if not r.tls:
        raise Refused(400, {"message": "HTTPS only"})
    if not text(e.get("service_key"), 32, 32):
        errors.append("Service key is the wrong length (should be 32 characters)")
    if e.get("event_type") not in ("trigger", "acknowledge", "resolve"):
        errors.append("Event type is invalid")
    if e.get("event_type") == "trigger" and not text(e.get("description"), 1, 1024):
        errors.append("Description is missing or blank")
    if e.get("event_type") != "trigger" and not e.get("incident_key"):
        errors.append("Incident key is required")
    if not isinstance(e.get("details", {}), dict):
        errors.append("Details is no object")
    if errors:
        raise Refused(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
    return 200, {"status": "success", "message": "Event processed", "incident_key": e["incident_key"]}, e


# --- OpsGenie: docs.opsgenie.com/docs/alert-api ---

def opsgenie(r):
    if r.headers.get("authorization") != "GenieKey " + OPSGENIE_KEY:
        raise Refused(422, {"message": "Key format is not valid!", "took": 0.0, "requestId": "x"})
    e, errors = r.json(), {}
    m = re.fullmatch(r"/v2/alerts(?:/([^/]+)/(close|message|description))?", r.path)
    if not m:
        raise Refused(404, {"message": "no such resource"})
    alias, action = m.groups()
    if action and r.query.get("identifierType") != ["alias"]:
        raise Refused(404, {"message": "Alert does not exist"})
    if r.method != {None: "POST", "close": "POST", "message": "PUT", "description": "PUT"}[action]:
        raise Refused(405, {"message": "method"})
    limits = {"message": 130, "alias": 512, "description": 15000, "entity": 512, "source": 100, "note": 25000, "user": 100}
    for name, most in limits.items():
        if name in e and not text(e[name], 0, most):
            errors[name] = "%s can not be longer than %d characters" % (name, most)
    for name, count in (("tags", 20), ("actions", 10)):
        values = e.get(name, [])
        if not isinstance(values, list) or len(values) > count or not all(text(v, 1, 50) for v in values):
            errors[name] = "at most %d of at most 50 characters" % count
    if action in (None, "message") and not e.get("message"):
        errors["message"] = "Message can not be empty."
    if not isinstance(e.get("details", {}), dict) or not all(isinstance(v, str) for v in e.get("details", {}).values()):
        errors["details"] = "must be a map of strings"
    if e.get("priority", "P3") not in ("P1", "P2", "P3", "P4", "P5"):
        errors["priority"] = "should be one of [ P1, P2, P3, P4, P5 ]"
    for responder in e.get("responders", []):
        if responder.get("type") not in ("team", "user", "escalation", "schedule") or \
                not any(responder.get(k) for k in ("id", "name", "username")):
            errors["responders"] = "responder is invalid"
    if errors:
        raise Refused(422, {"message": "Request body is not processable. Please check the errors.", "errors": errors,
                            "took": 0.1, "requestId": "x"})
    e["_"] = {"action": action or "create", "alias": alias or e.get("alias")}
    return 202, {"result": "Request will be processed", "took": 0.1, "requestId": "43a29c5c"}, e


# --- Splunk On-Call: help.splunk.com, "REST Endpoint integration" ---

def victorops(r):
    key, routing = r.path.rsplit("/", 2)[1:]
    if key != VICTOROPS_KEY or not routing or r.method != "POST":
        raise Refused(404, {"result": "failure", "message": "unknown integration"})
    e = r.json()
    if e.get("message_type") not in ("CRITICAL", "WARNING", "ACKNOWLEDGEMENT", "INFO", "RECOVERY"):
        raise Refused(400, {"result": "failure", "message": "message_type is required"})
    if not text(e.get("entity_id"), 1, 512) or not text(e.get("state_message", ""), 0, 20480):
        raise Refused(400, {"result": "failure", "message": "entity_id or state_message"})
    e["_"] = {"routing_key": urllib.parse.unquote(routing)}
    return 200, {"result": "success", "entity_id": e["entity_id"]}, e


# --- Pushover: pushover.net/api ---

def pushover(r):
    if not r.tls or r.method != "POST" or r.path != "/1/messages.json":
        raise Refused(400, {"status": 0, "errors": ["HTTPS POST only"]})
    # Parameters may stand in the URL or the body.
    e = {k: v[0] for k, v in r.query.items()}
    if r.headers.get("content-type") == "application/x-www-form-urlencoded":
        e.update(r.form())
    errors, wrong = [], {}
    if e.get("token") != PUSHOVER_TOKEN:
        wrong["token"] = "invalid"
        errors.append("application token is invalid")
    if e.get("user") != PUSHOVER_USER:
        wrong["user"] = "invalid"
        errors.append("user identifier is not a valid user, group, or subscribed user key")
    if not text(e.get("message"), 1, 1024):
        errors.append("message cannot be blank")
    for name, most in (("title", 250), ("url", 512), ("url_title", 100)):
        if not text(e.get(name, ""), 0, most):
            errors.append("%s is too long" % name)
    if e.get("priority", "0") not in ("-2", "-1", "0", "1", "2"):
        errors.append("priority is invalid")
    elif e.get("priority") == "2" and not (e.get("retry", "").isdigit() and int(e["retry"]) >= 30 and
                                           e.get("expire", "").isdigit() and int(e["expire"]) <= 10800):
        errors.append("retry must be at least 30 and expire at most 10800")
    if e.get("html") == "1" and e.get("monospace") == "1":
        errors.append("html and monospace are mutually exclusive")
    if "ttl" in e and not (e["ttl"].isdigit() and int(e["ttl"]) > 0):
        errors.append("ttl must be a positive number")
    if errors:
        raise Refused(400, {**wrong, "errors": errors, "status": 0, "request": "5042853c"})
    if not e.get("device"):  # as if it were not there: all devices; older Alertmanagers do not send it
        e.pop("device", None)
    return 200, {"status": 1, "request": "647d2300"}, e


# --- AWS: docs.aws.amazon.com/sns/latest/api/API_Publish.html, STS AssumeRole, "Create a signed AWS API request" ---

def aws_error(status, code, message):
    return Refused(status, '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>%s'
                           '</Code><Message>%s</Message></Error><RequestId>x</RequestId></ErrorResponse>' %
                   (code, xml.sax.saxutils.escape(message)), **{"Content-Type": "text/xml"})


def aws_verify(r, service):
    """Whose request it is; recomputes the signature from what came over the wire."""
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?"
                     r"Signature=([0-9a-f]{64})", r.headers.get("authorization", ""))
    if not m:
        raise aws_error(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    key, day, region, signed_service, names, signature = m.groups()
    if key not in AWS_KEYS:
        raise aws_error(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    secret, token = AWS_KEYS[key]
    date, names = r.headers.get("x-amz-date", ""), names.split(";")
    now = datetime.datetime.now(datetime.timezone.utc)
    when = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if signed_service != service or date[:8] != day or abs((now - when).total_seconds()) > 900:
        raise aws_error(403, "SignatureDoesNotMatch", "Credential should be scoped to correct service or time")
    if token and r.headers.get("x-amz-security-token") != token:
        raise aws_error(403, "InvalidClientTokenId", "The security token included in the request is invalid")
    needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} if token else set())
    if not needed <= set(names) or names != sorted(names):
        raise aws_error(403, "SignatureDoesNotMatch", "headers that must be signed are not")
    canonical = "\n".join([r.method, re.sub("//+", "/", r.path), getattr(r, "canonical_query", ""), *["%s:%s" % (n, " ".join(r.headers[n].split())) for n in names], "",
                           ";".join(names), hashlib.sha256(r.body).hexdigest()])
    scope = "/".join([day, region, service, "aws4_request"])
    message = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    step = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        step = hmac.new(step, part.encode(), hashlib.sha256).digest()
    if hmac.new(step, message.encode(), hashlib.sha256).hexdigest() != signature:
        raise aws_error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    return key, region


def sns(r):
    if r.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
        raise aws_error(400, "InvalidAction", "no form")
    e = r.form()
    if e.get("Action") == "AssumeRole":
        aws_verify(r, "sts")
        if e.get("Version") != "2011-06-15" or not e.get("RoleArn") or not re.fullmatch(r"[\w+=,.@-]{2,64}", e["RoleSessionName"]):
            raise aws_error(400, "ValidationError", "AssumeRole")
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        secret, token = AWS_KEYS["ASIATEMPORARY"]
        return 200, ("<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIATEMPORARY</AccessKeyId><SecretAccessKey>"
                     "%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>"
                     "</AssumeRoleResult></AssumeRoleResponse>" % (secret, token, expires.strftime("%Y-%m-%dT%H:%M:%SZ"))), e
    key, region = aws_verify(r, "sns")
    if e.get("Action") != "Publish" or e.get("Version") != "2010-03-31":
        raise aws_error(400, "InvalidAction", "The action or operation requested is invalid.")
    destinations = [n for n in ("TopicArn", "TargetArn", "PhoneNumber") if e.get(n)]
    if len(destinations) != 1:
        raise aws_error(400, "InvalidParameter", "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter")
    if "PhoneNumber" in e and not re.fullmatch(r"\+[1-9]\d{1,14}", e["PhoneNumber"]):
        raise aws_error(400, "InvalidParameter", "Invalid parameter: PhoneNumber")
    for name in ("TopicArn", "TargetArn"):
        if name in e and not re.fullmatch(r"arn:aws[\w-]*:sns:%s:\d{12}:.+" % re.escape(region), e[name]):
            raise aws_error(400, "InvalidParameter", "Invalid parameter: " + name)
    if not e.get("Message") or len(e["Message"].encode()) > (1600 if "PhoneNumber" in e else 262144):
        raise aws_error(400, "InvalidParameter", "Invalid parameter: Message")
    if "Subject" in e and (not text(e["Subject"], 1, 100) or re.search(r"[\x00-\x1f\x7f]", e["Subject"])):
        raise aws_error(400, "InvalidParameter", "Invalid parameter: Subject")
    if e.get("TopicArn", "").endswith(".fifo"):
        if not text(e.get("MessageGroupId"), 1, 128) or not text(e.get("MessageDeduplicationId"), 1, 128):
            raise aws_error(400, "InvalidParameter", "Invalid parameter: The MessageGroupId parameter is required for FIFO topics")
    elif "MessageDeduplicationId" in e:
        raise aws_error(400, "InvalidParameter", "Invalid parameter: MessageDeduplicationId")
    attributes, n = {}, 1
    while "MessageAttributes.entry.%d.Name" % n in e:
        at = "MessageAttributes.entry.%d." % n
        if e[at + "Value.DataType"] != "String" or not e[at + "Value.StringValue"]:
            raise aws_error(400, "ParameterValueInvalid", "The message attribute must contain non-empty message attribute value")
        attributes[e[at + "Name"]] = e[at + "Value.StringValue"]
        n += 1
    kept = {k: v for k, v in e.items() if not k.startswith("MessageAttributes")}
    kept["_"] = {"attributes": attributes, "key": key, "region": region}
    return 200, "<PublishResponse><PublishResult><MessageId>x</MessageId></PublishResult></PublishResponse>", kept


# --- Jira: developer.atlassian.com, REST API versions 2 and 3 ---

class Jira:
    TRANSITIONS = {"open": [("11", "Close", "done")], "done": [("21", "Reopen", "open")]}

    def __init__(self):
        self.issues = {}

    def __call__(self, r):
        if r.headers.get("authorization") != "Bearer " + JIRA_TOKEN:
            raise Refused(401, {"errorMessages": ["You are not authenticated."]})
        m = re.fullmatch(r"/rest/api/([23])(/search|/search/jql|/issue)(?:/([A-Z]+-\d+)(/transitions)?)?", r.path)
        if not m:
            raise Refused(404, {"errorMessages": ["null for uri"]})
        version, what, key, transitions = m.groups()
        if what == "/search" and version == "3":
            raise Refused(410, {"errorMessages": ["The requested API has been removed. Please migrate to /rest/api/3/search/jql."]})
        if what.startswith("/search"):
            return self.search(r.json())
        if key and key not in self.issues:
            raise Refused(404, {"errorMessages": ["Issue does not exist or you do not have permission to see it."]})
        if transitions:
            return self.transit(r, self.issues[key])
        fields = self.check(r.json().get("fields", {}), version, key is None)
        if r.method == "POST" and key is None:
            key = "%s-%d" % (fields["project"]["key"], len(self.issues) + 1)
            self.issues[key] = {"key": key, "status": "open", "resolution": None, "fields": fields, "version": version}
            return 201, {"id": "10000", "key": key, "self": "x"}, {"create": key, "fields": fields}
        if r.method == "PUT" and key:
            self.issues[key]["fields"].update(fields)
            return 204, None, {"update": key, "fields": fields}
        raise Refused(405, {"errorMessages": ["method"]})

    def search(self, e):
        m = re.fullmatch(r'(?:resolution != "(?P<wont>[^"]+)" and )?(?P<open>statusCategory != Done|\(resolutiondate is EMPTY OR '
                         r'resolutiondate >= -\d+m\)) and project="(?P<project>[A-Z]+)" and labels="(?P<label>[^"]+)" order by '
                         r'status ASC,resolutiondate DESC', e.get("jql", ""))
        if not m:
            raise Refused(400, {"errorMessages": ["Error in the JQL Query: " + str(e.get("jql"))]})
        if not isinstance(e.get("maxResults"), int) or e.get("fields") != ["status"]:
            raise Refused(400, {"errorMessages": ["Invalid request payload."]})
        only_open = m["open"].startswith("statusCategory")
        found = [i for i in self.issues.values()
                 if m["label"] in i["fields"].get("labels", []) and i["fields"]["project"]["key"] == m["project"] and
                 not (only_open and i["status"] == "done") and not (m["wont"] and i["resolution"] == m["wont"])]
        return 200, {"issues": [{"key": i["key"], "fields": {"status": {
            "name": i["status"], "statusCategory": {"key": "done" if i["status"] == "done" else "new"}}}} for i in found]}, None

    def transit(self, r, issue):
        moves = self.TRANSITIONS[issue["status"]]
        if r.method == "GET":
            return 200, {"expand": "transitions", "transitions": [{"id": i, "name": n} for i, n, _ in moves]}, None
        wanted = r.json().get("transition", {}).get("id")
        for i, _, to in moves:
            if i == wanted:
                issue["status"] = to
                return 204, None, {"transition": issue["key"], "to": to}
        raise Refused(400, {"errorMessages": ["It seems that you have tried to perform an illegal workflow operation."]})

    @staticmethod
    def check(f, version, is_new):
        errors = {}
        if is_new or "summary" in f:
            if not text(f.get("summary"), 1, 255):
                errors["summary"] = "You must specify a summary of the issue."
            elif "\n" in f["summary"]:
                errors["summary"] = "The summary is invalid because it contains newline characters."
        if is_new and not isinstance(f.get("project"), dict):
            errors["project"] = "Specify a valid project ID or key"
        if is_new and not text((f.get("issuetype") or {}).get("name"), 1, 60):
            errors["issuetype"] = "Specify an issue type"
        if f.get("priority") is not None and f["priority"].get("name") not in ("Highest", "High", "Medium", "Low", "Lowest"):
            errors["priority"] = "The priority selected is invalid."
        for label in f.get("labels", []):
            if not text(label, 1, 255) or re.search(r"\s", label):
                errors["labels"] = "The label '%s' contains spaces which is invalid." % label
        d = f.get("description")
        if version == "2" and d is not None and not text(d, 0, 32767):
            errors["description"] = "Operation value must be a string"
        if version == "3" and d is not None and not Jira.is_document(d):
            errors["description"] = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
        if errors:
            raise Refused(400, {"errorMessages": [], "errors": errors})
        return f

    @staticmethod
    def is_document(d):
        def node(n):
            if not isinstance(n, dict) or not isinstance(n.get("type"), str):
                return False
            if n["type"] == "text":
                return text(n.get("text"), 1, 32767)
            return all(node(c) for c in n.get("content", []))
        return isinstance(d, dict) and d.get("type") == "doc" and d.get("version") == 1 and isinstance(d.get("content"), list) and \
            all(node(c) for c in d["content"])


# --- incident.io: api-docs.incident.io, alert events of Alertmanager ---

def incidentio(r):
    if r.headers.get("authorization") != "Bearer " + INCIDENTIO_TOKEN:
        raise Refused(401, {"type": "authentication_error", "status": 401, "errors": [{"code": "unauthorized"}]})
    if len(r.body) > 512 * 1024:
        raise Refused(413, {"type": "validation_error", "status": 413})
    e = r.json()
    if e.get("version") != "1" or e.get("status") not in ("firing", "resolved") or not e.get("alerts") or not e.get("groupKey") or \
            not isinstance(e.get("truncatedAlerts"), int):
        raise Refused(422, {"type": "validation_error", "status": 422, "errors": [{"code": "invalid_value"}]})
    for a in e["alerts"]:
        if a.get("status") not in ("firing", "resolved") or not isinstance(a.get("labels"), dict) or not a.get("fingerprint"):
            raise Refused(422, {"type": "validation_error", "status": 422, "errors": [{"code": "alerts"}]})
    return 202, {"status": "success", "message": "Event accepted for processing"}, e


class Services:
    def __init__(self, folder):
        self.lock, self.accepted, self.refused, self.failures = threading.Lock(), [], [], []
        self.jira = Jira()
        self.routes = [("/v2/enqueue", "pagerduty", pagerduty_v2), ("/generic/2010-04-15/create_event.json", "pagerduty-1", pagerduty_v1),
                       ("/v2/alerts", "opsgenie", opsgenie), ("/integrations/generic/20131114/alert/", "victorops", victorops),
                       ("/1/messages.json", "pushover", pushover), ("/rest/api/", "jira", self.jira),
                       ("/v2/alert_events/alertmanager/", "incidentio", incidentio), ("/", "sns", sns)]
        self.ca_file = os.path.join(folder, "services.pem")
        key = os.path.join(folder, "services.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=services", "-keyout", key, "-out", self.ca_file, "-addext",
                        "subjectAltName=DNS:events.pagerduty.com,DNS:api.pushover.net,DNS:localhost,IP:127.0.0.1"],
                       check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.ca_file, key)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, is_tls = "HTTP/1.1", False

            def do_CONNECT(self):
                self.send_response(200)
                self.end_headers()
                self.connection = tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                self.is_tls, self.close_connection = True, False

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                status, extra, answer = outer.answer(Request(self.command, self.path, headers, body, self.is_tls))
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = serve

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, status, body="", **headers):
        """The next request is answered with this, whatever it is."""
        self.failures.append((status, body, headers))

    def answer(self, r):
        kind, check = next((k, c) for prefix, k, c in self.routes if r.path.startswith(prefix))
        with self.lock:
            if self.failures:
                status, body, headers = self.failures.pop(0)
                return status, headers, body.encode()
            try:
                status, body, kept = check(r)
                headers = {}
                if kept is not None:
                    self.accepted.append((kind, kept))
            except Refused as e:
                status, body, headers = e.status, e.body, e.headers
                self.refused.append((kind, e.status, body, r.body))
            except Exception as e:  # a request that the checks do not even understand
                status, body, headers = 400, {"message": repr(e)}, {}
                self.refused.append((kind, 400, body, r.body))
        if body is None:
            return status, {}, b""
        if isinstance(body, str):
            return status, {"Content-Type": "text/xml", **headers}, body.encode()
        return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()

    def took(self, kind):
        with self.lock:
            return [e for k, e in self.accepted if k == kind]
