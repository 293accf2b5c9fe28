# SPDX-License-Identifier: Apache-2.0
"""deploy/imgforge as it is shipped: Prometheus, Alertmanager and Belfry take the same files and judge them alike."""
import glob
import http.server
import json
import os
import re
import threading
import urllib.request

import chat_services
import duty_services
from harness import BELFRY, TOP, Process, Skip, Target, folder, free_port, need, run, text, wait_for
from imgforge_subject import IMGFORGE

STACK = os.path.join(TOP, "deploy/imgforge")
SPECIFICATION = os.path.join(TOP, "../shared/spec/services.md")


def load(path):
    """A YAML file of the stack."""
    try:
        import yaml
    except ImportError:
        raise Skip("python3-yaml is not installed")
    with open(os.path.join(STACK, path)) as f:
        return yaml.safe_load(f)


def specification():
    if not os.path.exists(SPECIFICATION):
        raise Skip("the specification is not beside the project")
    with open(SPECIFICATION) as f:
        return f.read()


def checked(*argv, cwd=STACK, timeout=120):
    code, out, err = run(*argv, cwd=cwd, timeout=timeout)
    assert code == 0, (argv, out[-3000:], err[-3000:])
    return out


def words(expr):
    """What is left of an expression when line feeds and indentation do not count."""
    return re.sub(r"\s+", "", expr)


def rules():
    """(kind, name, rule) of all rules of the stack."""
    for name in sorted(os.listdir(STACK + "/rules")):
        if name.endswith(".yml"):
            for group in load("rules/" + name)["groups"]:
                for rule in group["rules"]:
                    kind = "alert" if "alert" in rule else "record"
                    yield kind, rule[kind], rule


def test_configuration_is_taken_by_belfry():
    assert "2 rule files found" in checked(BELFRY, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    checked(BELFRY, "check", "alertmanager", "alertmanager.yml")
    checked(BELFRY, "check", "rules", "rules/imgforge-alerts.yml", "rules/imgforge-recording.yml")


def test_configuration_is_taken_by_prometheus():
    assert "2 rule files found" in checked(need("promtool"), "check", "config", "prometheus.yml")
    checked(need("amtool"), "check-config", "alertmanager.yml")


def test_configuration_with_a_token_is_taken():
    """The lines that prometheus.yml shows for IMGFORGE_SECRET and for a Belfry with users, without their comment sign."""
    with open(STACK + "/prometheus.yml") as f:
        shown = re.sub(r"(?m)^( *)#(authorization:|  credentials_file:|scheme:)", r"\1\2", f.read())
    named = re.findall(r"\n    authorization:\n      credentials_file: secrets/(.*)", shown)
    assert named == ["imgforge-token", "belfry-token"] and "\n    scheme: https" in shown, shown
    with folder() as d:
        os.symlink(STACK + "/rules", d + "/rules")
        os.mkdir(d + "/secrets")
        for name in named:
            with open("%s/secrets/%s" % (d, name), "w") as f:
                f.write("token\n")
        with open(d + "/prometheus.yml", "w") as f:
            f.write(shown)
        checked(BELFRY, "check", "config", "prometheus.yml", cwd=d)
        checked(need("promtool"), "check", "config", "prometheus.yml", cwd=d)


def test_scraping_is_that_of_the_seeds():
    config = load("prometheus.yml")
    assert config["global"]["scrape_interval"] == "15s", config["global"]
    job = config["scrape_configs"][0]
    assert (job["job_name"], job["scrape_interval"], job["metrics_path"]) == ("imgforge", "10s", "/metrics"), job
    assert job["static_configs"] == [{"targets": ["imgforge:9000"]}], job


def test_alerts_are_those_of_the_specification():
    rows = re.findall(r"^\| (Imgforge\w+) \| S0 \| `(.*?)` \| (\w+) \| (\w+) \|", specification(), re.M)
    shipped = {name: rule for kind, name, rule in rules() if kind == "alert"}
    assert sorted(shipped) == sorted(row[0] for row in rows), (sorted(shipped), rows)
    for name, expr, hold, severity in rows:
        rule = shipped[name]
        assert words(rule["expr"]) == words(expr), (name, rule["expr"])
        assert rule["for"] == hold and rule["labels"] == {"severity": severity, "service": "imgforge"}, rule
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, rule
        assert rule["annotations"]["runbook_url"] == "{{ $externalURL }}/user/runbooks/%s.md" % name, rule


def test_rule_tests_pass_in_belfry():
    checked(BELFRY, "test", "rules", "rules/tests/alerts_test.yml", "rules/tests/recording_test.yml")


def test_rule_tests_pass_in_prometheus():
    checked(need("promtool"), "test", "rules", "rules/tests/alerts_test.yml", "rules/tests/recording_test.yml")


def test_rule_tests_hold_each_duration():
    """A `for` that is an evaluation longer or shorter fails them."""
    with open(STACK + "/rules/imgforge-alerts.yml") as f:
        shipped = f.read()
    holds = [m.span(1) for m in re.finditer(r"^ +for: (\w+)$", shipped, re.M)]
    assert len(holds) == 4, holds
    with folder() as d:
        os.mkdir(d + "/tests")
        with open(STACK + "/rules/tests/alerts_test.yml") as f, open(d + "/tests/alerts_test.yml", "w") as copy:
            copy.write(f.read())
        for start, end in holds:
            minutes = int(shipped[start:end - 1])
            for other in ("%dm45s" % (minutes - 1), "%dm15s" % minutes):
                with open(d + "/imgforge-alerts.yml", "w") as f:
                    f.write(shipped[:start] + other + shipped[end:])
                code, out, err = run(BELFRY, "test", "rules", d + "/tests/alerts_test.yml")
                assert code == 1 and "FAILED" in out + err, (shipped[start - 200:end], other, out, err)


def test_alerts_are_routed_as_the_specification_says():
    config = load("alertmanager.yml")
    assert config["route"]["group_by"] == ["alertname", "job"], config["route"]
    hook = config["receivers"][0]["webhook_configs"][0]
    assert hook["send_resolved"] is True and hook["url"].endswith("/alerts/webhook"), hook
    quiet = {r["receiver"] for r in config["route"]["routes"] if "quiet-hours" in r.get("mute_time_intervals", [])}
    assert quiet == {"chat", "digest"}, quiet
    for severity, told in (("critical", "incidents,pager"), ("warning", "incidents,chat"), ("info", "incidents,digest")):
        argv = ["--config.file=alertmanager.yml", "--verify.receivers=" + told, "severity=" + severity, "alertname=A"]
        checked(BELFRY, "route", "test", *argv)
        checked(need("amtool"), "config", "routes", "test", *argv)


def metrics_of_specification():
    """Names that queries may read: those of the services, and histograms' parts."""
    section = specification().split("### 2.11 Metrics")[1].split("\n---\n")[0]
    names = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
    for names_cell, kind in re.findall(r"^\| (`.*?`) \| (histogram|counter|gauge) \|", section, re.M):
        for name in re.findall(r"`(\w+)`", names_cell):
            names |= {name + suffix for suffix in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def dashboard():
    with open(STACK + "/grafana-dashboards/imgforge-dashboard.json") as f:
        return json.load(f)


def queries():
    """(panel's title, query) of the dashboard, annotations among them."""
    board = dashboard()
    yield from ((p["title"], t["expr"]) for p in board["panels"] for t in p.get("targets", []))
    yield from ((a["name"], a["expr"]) for a in board["annotations"]["list"] if "expr" in a)


def test_queries_read_what_imgforge_exports():
    known = metrics_of_specification()
    assert len(known) > 20, known
    known |= {name for kind, name, _ in rules() if kind == "record"} | {"ALERTS"}
    unknown, read = [], 0
    for where, expr in [(name, rule["expr"]) for _, name, rule in rules()] + list(queries()):
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on) *\([^)]*\)|\boffset \w+", " ", expr)
        names = re.findall(r"[a-zA-Z_:][\w:]*(?![\w:]*\s*\()", bare)
        read += len(names)
        unknown += [(where, name) for name in names if name not in known | {"and", "or"}]
    assert read > 60 and not unknown, (read, unknown)


def test_queries_are_taken_by_belfry_and_prometheus():
    exprs = [expr for _, expr in queries()]
    assert len(exprs) > 35, exprs
    with folder() as d:
        with open(d + "/queries.yml", "w") as f:
            json.dump({"groups": [{"name": "q", "rules": [{"record": "q:%d" % i, "expr": e} for i, e in enumerate(exprs)]}]}, f)
        checked(BELFRY, "check", "rules", d + "/queries.yml")
        checked(need("promtool"), "check", "rules", d + "/queries.yml")


def test_dashboard_has_the_panels_of_the_specification():
    board = dashboard()
    assert (board["title"], board["refresh"], board["time"]) == (
        "ImgForge Monitoring Dashboard", "5s", {"from": "now-1h", "to": "now"}), board["title"]
    shown = {p["title"]: {words(t["expr"]) for t in p.get("targets", [])} for p in board["panels"]}
    table = specification().split("**ImgForge Monitoring Dashboard**")[1].split("\n**")[0]
    rows = re.findall(r"^\| (\w[^|]*?) \| (graph|stat)[^|]*\| (.*) \|$", table, re.M)
    assert len(rows) == 14, rows
    for title, _, cell in rows[:12]:  # the last two are several panels' queries in words
        assert title in shown, (title, sorted(shown))
        for query in re.findall(r"`([^`]*\([^`]*|vips_\w+)`", cell):
            wanted = [query] if "quantile(Q," not in query else [query.replace("(Q,", "(%s," % q) for q in ("0.5", "0.95", "0.99")]
            assert {words(w) for w in wanted} <= shown[title], (title, wanted, shown[title])
    everything = set().union(*shown.values())
    for query in re.findall(r"`([^`]+\([^`]+|process_\w+\{[^`]+)`", rows[12][2]):
        assert words(query) in shown["Instance Saturation"], (query, shown["Instance Saturation"])
    for metric in ("semaphore_wait", "blocking_queue", "execution"):
        assert any(q.startswith("histogram_quantile(0.95,") and metric in q for q in everything), metric
    seed = os.path.join(TOP, "../shared/seeds")
    for name in sorted(os.listdir(seed))[:1]:  # the guide of seed 000: its queries as they are written
        with open(os.path.join(seed, name)) as f:
            suggested = f.read().split("## Suggested dashboards")[1].split("## Alerting patterns")[0]
        for query in re.findall(r"`([^`]+\([^`]+)`", suggested):
            assert words(query) in everything, query


def test_dashboard_is_one_that_grafana_takes():
    board, seen, taken = dashboard(), set(), set()
    assert board["schemaVersion"] >= 41 and board["uid"] and board["id"] is None
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    for panel in board["panels"]:
        assert panel["id"] not in seen and panel["type"] in ("row", "timeseries", "stat", "gauge"), panel
        seen.add(panel["id"])
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        refs = [t["refId"] for t in panel["targets"]]
        assert refs and len(refs) == len(set(refs)), panel["title"]
        assert all("legendFormat" in t and t["datasource"] == panel["datasource"] for t in panel["targets"])


def test_grafana_is_provisioned_where_compose_mounts_it():
    source = load("grafana-datasources.yml")["datasources"][0]
    assert (source["type"], source["isDefault"], source["url"]) == ("prometheus", True, "http://prometheus:9090"), source
    provider = load("grafana-dashboards/dashboard-provisioning.yml")["providers"][0]
    mounts = dict(v.split(":")[:2] for v in load("docker-compose.yml")["services"]["grafana"]["volumes"])
    assert mounts["./grafana-dashboards"] == provider["options"]["path"] and provider["allowUiUpdates"] is True, (mounts, provider)
    assert mounts["./grafana-datasources.yml"].startswith("/etc/grafana/provisioning/datasources/"), mounts


def default(text):
    """A value of compose with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def compose(path):
    """The services of a compose file, `extends` filled in."""
    whole = load(path)
    for name, service in whole["services"].items():
        if "extends" in service:
            whole["services"][name] = load(service["extends"]["file"])["services"][service["extends"]["service"]]
    return whole


def test_compose_has_what_the_seed_names():
    stack = compose("docker-compose.yml")
    started = {n: s for n, s in stack["services"].items() if "profiles" not in s}
    assert set(started) == {"imgforge", "prometheus", "grafana"}, set(started)
    ports = {n: {tuple(map(int, default(p).split(":")[-2:])) for p in s["ports"]} for n, s in started.items()}
    assert ports == {"imgforge": {(3000, 3000), (9000, 9000)}, "prometheus": {(9090, 9090)}, "grafana": {(3001, 3000)}}, ports
    assert {"prometheus-data", "grafana-data"} <= set(stack["volumes"]), stack["volumes"]
    assert "prometheus-data:/prometheus" in started["prometheus"]["volumes"]
    assert "grafana-data:/var/lib/grafana" in started["grafana"]["volumes"]
    login = {k: default(v) for k, v in started["grafana"]["environment"].items() if "ADMIN" in k}
    assert login == {"GF_SECURITY_ADMIN_USER": "admin", "GF_SECURITY_ADMIN_PASSWORD": "admin"}, login
    for name, service in stack["services"].items():  # each other one by its name, and with all
        assert name in started or service["profiles"] == [name, "all"], (name, service)
    told = stack["services"]["alertmanager"]
    assert "--config.file=%s/alertmanager.yml" % told["working_dir"] in told["command"], told  # its *_file are found from there


def test_compose_with_belfry_has_the_same_ports():
    stack = compose("docker-compose.belfry.yml")
    assert set(stack["services"]) == {"imgforge", "belfry"}, stack["services"].keys()
    belfry = stack["services"]["belfry"]
    assert {tuple(map(int, default(p).split(":")[-2:])) for p in belfry["ports"]} == {(9090, 9090), (3001, 3001)}, belfry["ports"]
    assert stack["volumes"] == {"prometheus-data": {"name": "imgforge-belfry_prometheus-data"}}, stack["volumes"]
    with open(STACK + "/docker-compose.belfry.yml") as f:
        assert "belfry user add admin --storage.tsdb.path=/var/lib/belfry\n" in f.read()  # where the server looks
    assert "prometheus-data:/var/lib/belfry" in belfry["volumes"] and "--storage.tsdb.path=/var/lib/belfry" in belfry["command"]


def test_compose_files_hold_together():
    """Each service has a health check, is published to this machine only, and mounts what is there."""
    for path in ("docker-compose.yml", "docker-compose.belfry.yml"):
        stack = compose(path)
        assert set(stack) == {"services", "volumes"}, stack.keys()  # docker-compose 1.29, which Debian 12 has, refuses `name`
        for name, service in stack["services"].items():
            check = service["healthcheck"]["test"]
            assert check[0] == "CMD" and re.search(r"http://127\.0\.0\.1:\d+/(-/|api/)?health", check[-1]), (path, name, check)
            assert all(default(p).startswith("127.0.0.1:") for p in service["ports"]), (path, name)
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    assert os.path.exists(os.path.join(STACK, source)), (path, name, source)
                else:
                    assert source in stack["volumes"], (path, name, source)
            build = service.get("build")
            assert build is None or os.path.exists(os.path.join(STACK, build["context"], build["dockerfile"])), (path, name)
            for variable in re.findall(r"\$\{(\w+):-", json.dumps(service)):
                with open(STACK + "/.env.example") as f:
                    assert re.search(r"(?m)^%s=" % variable, f.read()), variable


def dockerfile():
    """(instruction, arguments) of each line, by stage."""
    with open(STACK + "/Dockerfile") as f:
        text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", f.read()))
    stages, name = {}, None
    for line in filter(None, (line.strip() for line in text.split("\n"))):
        word, rest = line.split(None, 1)
        if word == "FROM":
            name = rest.split()[-1]
            stages[name] = []
        stages[name].append((word, rest))
    return stages


def test_images_are_made_of_what_is_there():
    stages = dockerfile()
    assert list(stages) == ["build", "imgforge", "belfry"] and all("debian:12" in s[0][1] for s in stages.values())
    for name, stage in stages.items():
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from="):
                for source in rest.split()[:-1]:
                    assert os.path.exists(os.path.join(TOP, source)), (name, source)
    for name, ports in (("imgforge", {3000, 9000}), ("belfry", {9090, 3001})):
        said = dict(stages[name])
        assert set(map(int, said["EXPOSE"].split())) == ports, said["EXPOSE"]
        assert int(said["USER"]) >= 1000 and ("useradd --uid " + said["USER"]) in said["RUN"], said
        assert "/health" in said["HEALTHCHECK"], said["HEALTHCHECK"]
        assert said["ENTRYPOINT"] == '["/usr/bin/%s"]' % name, said["ENTRYPOINT"]


def needed_packages(program):
    """Debian's packages of the libraries that a program names itself."""
    for tool in ("readelf", "ldd", "dpkg-query"):
        need(tool)
    named = set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program)[1]))
    assert named, program
    spellings = {}  # of each library's path, since /lib may be a link to /usr/lib
    for name, path in re.findall(r"(\S+) => (/\S+)", run("ldd", program)[1]):
        if name in named:
            real = os.path.realpath(path)
            spellings.update({spelling: name for spelling in (path, real, "/usr" + path, real.replace("/usr/", "/", 1))})
    owners = re.findall(r"^([^:\s]+)(?::\w+)?: (\S+)$", run("dpkg-query", "-S", *spellings)[1], re.M)
    strange = set(spellings.values()) - {spellings[path] for _, path in owners}
    if strange:
        raise Skip("no package of this system has %s" % strange)
    return {package for package, _ in owners}


def test_images_have_the_libraries_that_the_programs_need():
    if not os.path.exists("/etc/debian_version"):
        raise Skip("this is not Debian")
    with open("/etc/debian_version") as f:
        if not f.read().startswith("12"):
            raise Skip("this is not Debian 12")
    always = {"libc6", "libgcc-s1", "zlib1g", "libcrypt1"}  # of each Debian system
    for name, program in (("belfry", BELFRY), ("imgforge", imgforge())):
        installed = set(dict(dockerfile()[name])["RUN"].split())
        needed = needed_packages(program)
        assert not needed - always - installed, (name, needed - always - installed)
        loaded = {"libsqlite3-0"} if name == "belfry" else set()  # when it is needed
        assert not {p for p in installed if p.startswith("lib")} - needed - loaded, (name, needed)


def command(path, service):
    return [re.sub(r"/etc/(prometheus|belfry|alertmanager)", STACK, word) for word in compose(path)["services"][service]["command"]]


def rewritten(words, data, port):
    """The command of a container on this machine: its own data, its own port, the project's documentation."""
    words = [w for w in words if not w.startswith("--web.listen-address")]
    words = [re.sub(r"^(--storage(?:\.tsdb)?\.path)=.*", r"\1=" + data, w) for w in words]
    words = [re.sub(r"^(--web\.user-assets)=.*", r"\1=" + os.path.join(TOP, "docs"), w) for w in words]
    return words + ["--web.listen-address=127.0.0.1:%d" % port]


def scraped(d, target, own):
    """The shipped prometheus.yml with the addresses of this machine."""
    with open(STACK + "/prometheus.yml") as f:
        text = f.read()
    text = text.replace("imgforge:9000", target).replace("localhost:9090", own).replace("names: [alertmanager]", "names: [alertmanager.invalid]")
    os.symlink(STACK + "/rules", d + "/rules")
    os.symlink(STACK + "/alertmanager.yml", d + "/alertmanager.yml")
    with open(d + "/prometheus.yml", "w") as f:
        f.write(text)


def asked(port, path):
    with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=30) as answer:
        return answer.read().decode()


def starts_with_shipped_files(program, path, service):
    """A server started as its container is: it reads the rules, scrapes the target, and shows the runbooks."""
    with folder() as d, Target(text('status_codes_total{status="200"} 1\n')) as target:
        port = free_port()
        scraped(d, target.address, "127.0.0.1:%d" % port)
        argv = [program] + [w.replace(STACK, d) for w in rewritten(command(path, service), d + "/data", port)]
        with Process(argv, d, name=service) as p:
            wait_for(lambda: asked(port, "/-/ready"), "ready", 60)
            groups = json.loads(asked(port, "/api/v1/rules"))["data"]["groups"]
            assert sorted(r["name"] for g in groups for r in g["rules"]) == sorted(name for _, name, _ in rules()), groups
            wait_for(lambda: asked(port, "/api/v1/query?query=up%7Bjob%3D%22imgforge%22%7D+%3D%3D+1").count("metric"), "imgforge is up", 60)
            for name in ("ImgforgeErrorSpike", "ImgforgeCacheMissSurge", "ImgforgeSlowProcessing", "ImgforgeSourceFailures"):
                assert name in asked(port, "/user/runbooks/%s.md" % name), name
            assert p.alive(), p.output()


def test_prometheus_starts_as_in_compose():
    starts_with_shipped_files(need("prometheus"), "docker-compose.yml", "prometheus")


def test_belfry_starts_as_in_compose():
    starts_with_shipped_files(BELFRY, "docker-compose.belfry.yml", "belfry")


def test_image_of_belfry_runs_what_compose_runs():
    said = dict(dockerfile()["belfry"])
    assert json.loads(said["CMD"]) == compose("docker-compose.belfry.yml")["services"]["belfry"]["command"], said["CMD"]


def manifests():
    """(kind, name) -> object of all Kubernetes manifests."""
    try:
        import yaml
    except ImportError:
        raise Skip("python3-yaml is not installed")
    found = {}
    for path in load("kustomization.yaml")["resources"]:
        with open(os.path.join(STACK, path)) as f:
            for item in yaml.safe_load_all(f):
                found[item["kind"], item["metadata"]["name"]] = item
    return found


def test_kubernetes_has_every_part():
    found = manifests()
    wanted = {(kind, "imgforge") for kind in ("ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler",
                                              "NetworkPolicy")} | {("Secret", "imgforge-keys"), ("StatefulSet", "belfry"), ("Service", "belfry")}
    assert wanted <= set(found), wanted - set(found)
    assert found["PodDisruptionBudget", "imgforge"]["spec"]["minAvailable"] == 1
    scaler = found["HorizontalPodAutoscaler", "imgforge"]["spec"]
    assert scaler["minReplicas"] >= 2 and scaler["scaleTargetRef"]["name"] == "imgforge", scaler
    metrics = [rule for rule in found["NetworkPolicy", "imgforge"]["spec"]["ingress"] if rule["ports"][0]["port"] == 9000]
    assert metrics[0]["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}], metrics


def test_kubernetes_probes_and_rights_are_those_of_the_specification():
    found = manifests()
    for kind, name, live, ready in (("Deployment", "imgforge", "/health", "/ready"), ("StatefulSet", "belfry", "/-/healthy", "/-/ready")):
        template = found[kind, name]["spec"]["template"]
        pod, box = template["spec"], template["spec"]["containers"][0]
        probes = {k: (box[k]["httpGet"]["path"], box[k]["periodSeconds"], box[k].get("timeoutSeconds")) for k in ("livenessProbe", "readinessProbe")}
        assert probes == {"livenessProbe": (live, 30, 5), "readinessProbe": (ready, 10, 3)}, probes
        assert (box["startupProbe"]["failureThreshold"], box["startupProbe"]["periodSeconds"]) == (30, 2), box["startupProbe"]
        assert pod["securityContext"]["runAsNonRoot"] and box["securityContext"]["readOnlyRootFilesystem"], name
        assert str(pod["securityContext"]["runAsUser"]) == dict(dockerfile()[name])["USER"], name
        assert any(m["mountPath"] == "/data" for m in box["volumeMounts"]), name
        notes = template["metadata"]["annotations"]
        assert notes["prometheus.io/scrape"] == "true" and notes["prometheus.io/path"] == "/metrics", notes
        assert int(notes["prometheus.io/port"]) in [p["containerPort"] for p in box["ports"]], notes
        labels = template["metadata"]["labels"]
        assert found[kind, name]["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert found["Service", name]["spec"]["selector"].items() <= labels.items()
    grace = int(found["ConfigMap", "imgforge"]["data"]["SHUTDOWN_GRACE_SECONDS"])
    assert found["Deployment", "imgforge"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > grace


def test_kubernetes_runs_with_the_files_that_it_mounts():
    """The folder that belfry's pod sees as /etc/belfry, made of what kustomization.yaml names."""
    found, pod = manifests(), None
    pod = found["StatefulSet", "belfry"]["spec"]["template"]["spec"]
    items = {i["key"]: i["path"] for i in pod["volumes"][0]["projected"]["sources"][0]["configMap"]["items"]}
    with folder() as d:
        for entry in load("kustomization.yaml")["configMapGenerator"][0]["files"]:
            key, _, source = entry.rpartition("=")
            path = os.path.join(d, items.pop(key or os.path.basename(source)))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(os.path.join(STACK, source), path)
        assert not items, items
        for word in pod["containers"][0]["args"]:
            if "config.file=" in word:
                assert os.path.exists(word.split("=")[1].replace("/etc/belfry", d)), word
        assert "2 rule files found" in checked(BELFRY, "check", "config", d + "/prometheus.yml")
        assert "2 rule files found" in checked(need("promtool"), "check", "config", d + "/prometheus.yml")
    job = load("kubernetes/prometheus.yml")["scrape_configs"][0]
    assert job["dns_sd_configs"][0]["names"] == ["imgforge-metrics.imgforge.svc"] and ("Service", "imgforge-metrics") in found, job


def test_kubernetes_manifests_are_built_by_kustomize():
    out = checked(need("kubectl"), "kustomize", ".")
    assert out.count("\nkind: ") + out.startswith("kind: ") >= len(manifests()) + 1, out[:500]


def test_units_are_taken_by_systemd():
    analyze = need("systemd-analyze")
    for name in ("imgforge", "belfry"):
        with open(os.path.join(TOP, "deploy/systemd/%s.service" % name)) as f:
            unit = f.read()
        for line in ("Restart=on-failure", "NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectSystem=strict", "StateDirectory=" + name,
                     "Type=notify"):
            assert "\n%s\n" % line in unit, (name, line)
        assert name != "imgforge" or "\nLimitNOFILE=1048576\n" in unit, unit
        with open(os.path.join(TOP, "deploy/systemd/%s.sysusers.conf" % name)) as f:
            made = re.findall(r"(?m)^[ug] (\S+)", f.read())
        assert made == re.findall(r"(?m)^(?:User|SupplementaryGroups)=(.*)$", unit), (name, made)
        with folder() as d:
            path = "%s/%s.service" % (d, name)
            with open(path, "w") as f:  # the program and its account need not be installed here
                f.write(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit))
            code, out, err = run(analyze, "verify", path)
            assert code == 0 and not (out + err).strip(), (name, out, err)


def test_shipped_receivers_tell_what_somebody_needs():
    """Pager, chat, digest and incident platform as alertmanager.yml has them, sent to servers that judge as the real ones do."""
    hooks = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            hooks.append((self.path, self.headers.get("Authorization"), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    need("openssl")
    with folder() as d, duty_services.Services(d) as duty, chat_services.Services() as chat:
        with open(STACK + "/alertmanager.yml") as f:
            shipped = f.read().replace("http://backend:5000", "http://127.0.0.1:%d" % backend.server_address[1])
        shipped = shipped.replace("      - routing_key_file:", "      - url: %s/v2/enqueue\n        routing_key_file:" % duty.url)
        shipped = shipped.replace("      - api_key_file:", "      - api_url: %s/\n        api_key_file:" % duty.url)
        with open(d + "/alertmanager.yml", "w") as f:
            f.write(shipped)
        os.mkdir(d + "/secrets")
        for name, secret in (("incidents-webhook-token", "t0ken"), ("pagerduty-routing-key", duty_services.PAGERDUTY_KEY),
                             ("opsgenie-api-key", duty_services.OPSGENIE_KEY), ("slack-url", chat.url + chat_services.SLACK_HOOK)):
            with open(d + "/secrets/" + name, "w") as f:
                f.write(secret + "\n")
        link = "http://belfry.example:9090/user/runbooks/ImgforgeErrorSpike.md"
        for receiver in ("incidents", "pager", "chat", "digest"):
            checked(BELFRY, "notify", "test", receiver, "--config.file=" + d + "/alertmanager.yml", "alertname=ImgforgeErrorSpike",
                    "severity=critical", "service=imgforge", "--annotation=summary=imgforge answers with errors",
                    "--annotation=description=4 responses a second are 5xx, 10% of all.", "--annotation=runbook_url=" + link)
        backend.shutdown()
        backend.server_close()
        path, bearer, message = hooks[0]
        assert (path, bearer, message["version"]) == ("/alerts/webhook", "Bearer t0ken", "4"), hooks
        pages = {kind: json.dumps(duty.took(kind)) for kind in ("pagerduty", "opsgenie")}
        assert all(link in page for page in pages.values()) and '"critical"' in pages["pagerduty"], (pages, duty.refused)
        messages = [json.dumps(m) for m in chat.took("slack")]
        assert len(messages) == 2 and all("10% of all." in m for m in messages), (messages, chat.refused)
        assert link in messages[0] and "FIRING: imgforge answers with errors" in messages[0], messages[0]
        assert "imgforge: 1 to look at" in messages[1] and "imgforge-daily" in messages[1], messages[1]


def imgforge():
    if not os.path.exists(IMGFORGE):
        raise Skip(IMGFORGE + " is not built")
    return IMGFORGE


def test_variables_are_known_to_imgforge():
    """Each variable that the stack sets or a page names is one that imgforge has."""
    known = set(re.findall(r"\b[A-Z][A-Z_]+\b", checked(imgforge(), "--help")))
    assert "IMGFORGE_BIND" in known, known
    paths = ["docker-compose.yml", ".env.example", "kubernetes/imgforge.yaml", "kubernetes/secret.yaml", "../systemd/imgforge.env.example"]
    paths = [os.path.join(STACK, p) for p in paths] + glob.glob(TOP + "/docs/imgforge/*.md") + glob.glob(TOP + "/docs/runbooks/*.md")
    named = set()
    for path in paths:
        with open(path) as f:
            named |= {(os.path.relpath(path, TOP), v) for v in re.findall(r"\bIMGFORGE_[A-Z_]*[A-Z]\b", f.read())}
    unknown = {n for n in named if n[1] not in known | {"IMGFORGE_PROM_TOKEN", "IMGFORGE_ALLOW"}}
    assert len(named) > 40 and not unknown, unknown


def test_settings_of_each_form_are_accepted():
    """Compose's defaults, systemd's example and Kubernetes' ConfigMap, with keys where they are asked for."""
    keys = {"IMGFORGE_KEY": "ab" * 32, "IMGFORGE_SALT": "cd" * 32}
    with folder() as d:
        forms = {"compose": {k: default(v) for k, v in load("docker-compose.yml")["services"]["imgforge"]["environment"].items()},
                 "kubernetes": {**manifests()["ConfigMap", "imgforge"]["data"], **keys}}
        for name, env in forms.items():
            env = {k: d if k == "IMGFORGE_CACHE_DISK_PATH" else v for k, v in env.items()}
            code, out, err = run(imgforge(), "--check-config", env=env)
            assert code == 0, (name, out, err)
        with open(TOP + "/deploy/systemd/imgforge.env.example") as f:
            text = f.read().replace("/var/cache/imgforge", d)
        for filled in (False, True):
            with open(d + "/imgforge.env", "w") as f:
                f.write(re.sub(r"(?m)^(IMGFORGE_(?:KEY|SALT))=$", r"\1=" + "ab" * 32, text) if filled else text)
            code, out, err = run(imgforge(), "--env-file", d + "/imgforge.env", "--check-config")
            assert code == (0 if filled else 2), (filled, out, err)
