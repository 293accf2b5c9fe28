// SPDX-License-Identifier: Apache-2.0
// The query page: an expression, its table and its graph; what is shown is in the address.
"use strict";

(() => {
  if (location.pathname.endsWith("/targets")) return;
  const ROWS_MAX = 2000, LINES_MAX = 200, POINTS_MAX = 600, VALUES_MAX = 50;
  const $ = (id) => document.getElementById(id);
  const state = { expr: "", tab: "table", range: 3600, end: null, refresh: 0 };
  const hidden = new Set(); // names of series that the reader took out of the graph
  let running = null, timer = 0;

  $("query-page").hidden = false;
  $("nav-query").setAttribute("aria-current", "page");

  function labelsOf(metric, into) {
    const names = Object.keys(metric).filter((n) => n !== "__name__");
    const add = (text, cls) => {
      const span = document.createElement("span");
      span.textContent = text;
      if (cls) span.className = cls;
      into.append(span);
    };
    // Long names may break behind an underscore.
    if (metric.__name__) {
      metric.__name__.split(/(?<=[_:])/).forEach((part, i) => {
        if (i) into.append(document.createElement("wbr"));
        add(part, "name");
      });
    }
    if (names.length || !metric.__name__) add("{");
    names.forEach((n, i) => {
      add((i ? ", " : "") + n, "label-name");
      add("=" + JSON.stringify(metric[n]));
    });
    if (names.length || !metric.__name__) add("}");
  }

  function textOf(metric) {
    const span = document.createElement("span");
    labelsOf(metric, span);
    return span.textContent;
  }

  function plural(n, one) {
    return n.toLocaleString() + " " + one + (n === 1 ? "" : one === "series" ? "" : "s");
  }

  // "invalid parameter "query": 1:6: parse error: ..." with the line and a mark below its place.
  function showError(text) {
    const plain = text.replace(/^invalid parameter "query": /, "");
    const at = /^(\d+):(\d+): /.exec(plain);
    const line = at && state.expr.split("\n")[at[1] - 1];
    $("error").textContent = plain;
    if (line && line.length <= 200 && at[2] <= line.length + 1)
      $("error").textContent += "\n\n" + line + "\n" + " ".repeat(at[2] - 1) + "^";
    $("error").hidden = false;
  }

  function showEmpty(text) {
    $("empty-text").textContent = text;
    $("empty").hidden = !text;
    $("panel-" + state.tab).hidden = !!text;
  }

  function showNotices(body, extra) {
    const texts = [...(body.warnings || []), ...(body.infos || []), ...extra];
    $("notices").replaceChildren(...texts.map((t) => {
      const li = document.createElement("li");
      li.textContent = t;
      return li;
    }));
    $("notices").hidden = !texts.length;
  }

  function clearResult() {
    $("error").hidden = true;
    $("notices").hidden = true;
    $("empty").hidden = true;
  }

  function clearData() {
    $("results").tBodies[0].replaceChildren();
    $("legend").replaceChildren();
    $("panel-" + state.tab).hidden = true;
    Chart.clear();
  }

  function row(metric, text) {
    const tr = document.createElement("tr");
    const left = document.createElement("td"), right = document.createElement("td");
    if (metric) labelsOf(metric, left);
    else left.textContent = "";
    right.className = "value";
    right.textContent = text;
    tr.append(left, right);
    return tr;
  }

  function showTable(body, ms) {
    const { resultType, result } = body.data;
    const extra = [];
    let rows = [];
    if (resultType === "scalar" || resultType === "string") {
      rows = [row({}, result[1])];
      rows[0].firstChild.textContent = resultType;
    } else {
      if (result.length > ROWS_MAX) extra.push("only the first " + ROWS_MAX + " of " + result.length + " series are shown");
      rows = result.slice(0, ROWS_MAX).map((s) => {
        if (s.value) return row(s.metric, s.value[1]);
        const values = s.values.slice(-VALUES_MAX).map(([t, v]) => v + " @" + t);
        if (s.values.length > VALUES_MAX) values.unshift("… " + (s.values.length - VALUES_MAX) + " earlier");
        return row(s.metric, values.join("\n"));
      });
    }
    $("results").tBodies[0].replaceChildren(...rows);
    showNotices(body, extra);
    const count = Array.isArray(result) && resultType !== "scalar" && resultType !== "string" ? plural(result.length, "series") : resultType;
    showEmpty(rows.length ? "" : "No series match " + (state.end ? "at this time." : "now."));
    const at = new Date((state.end ?? Date.now() / 1000) * 1000);
    $("status").textContent = (rows.length ? count : "Empty result") + " at " + at.toLocaleTimeString() + ", " + ms + " ms";
  }

  function showGraph(body, range, ms) {
    const all = body.data.result, extra = [];
    if (all.length > LINES_MAX) extra.push("only the first " + LINES_MAX + " of " + all.length + " series are drawn");
    const series = all.slice(0, LINES_MAX).map((s, index) => {
      const name = textOf(s.metric);
      return { name, index, off: hidden.has(name), points: s.values.map(([t, v]) => [t, Number(v)]) };
    });
    showEmpty(all.length ? "" : "No series have samples in this range.");
    Chart.show({ start: range.start, end: range.end, step: range.step, series });
    $("legend").replaceChildren(...series.map((s) => {
      const li = document.createElement("li"), button = document.createElement("button");
      const swatch = document.createElement("span"), name = document.createElement("span");
      button.type = "button";
      const last = document.createElement("span");
      swatch.className = ("swatch " + Chart.dash(s.index)).trim();
      swatch.dataset.index = s.index;
      swatch.style.color = Chart.color(s.index);
      labelsOf(all[s.index].metric, name);
      last.className = "last";
      last.textContent = Chart.short(s.points.length ? s.points[s.points.length - 1][1] : NaN);
      last.title = "The last value";
      button.title = "Click to hide or show, Shift+click to show it alone";
      button.setAttribute("aria-pressed", String(!s.off));
      button.addEventListener("click", (e) => {
        if (e.shiftKey) {
          const alone = !s.off && series.every((x) => x === s || x.off);
          for (const x of series) x.off = !alone && x !== s;
        } else {
          s.off = !s.off;
        }
        $("legend").querySelectorAll("button").forEach((b, i) => b.setAttribute("aria-pressed", String(!series[i].off)));
        for (const x of series) x.off ? hidden.add(x.name) : hidden.delete(x.name);
        Chart.redraw();
      });
      button.append(swatch, name, last);
      li.append(button);
      return li;
    }));
    showNotices(body, extra);
    $("status").textContent = (all.length ? plural(all.length, "series") : "Empty result") + ", step " + range.step + " s, " + ms + " ms";
  }

  function rangeNow() {
    const end = state.end ?? Date.now() / 1000;
    const step = Math.max(1, Math.ceil(state.range / Math.min(POINTS_MAX, Math.max(120, $("query-page").clientWidth / 2))));
    return { end: Math.floor(end), start: Math.floor(end) - state.range, step };
  }

  async function ask(url, params, signal) {
    const answer = await fetch(url, { method: "POST", body: new URLSearchParams(params), signal });
    if (answer.status === 401) location.reload(); // the session is over: the page itself leads to the login
    const text = await answer.text();
    let body;
    try { body = JSON.parse(text); } catch (e) { throw new Error("HTTP " + answer.status + ": " + text.slice(0, 500)); }
    if (body.status !== "success") throw new Error(body.error || "HTTP " + answer.status);
    return body;
  }

  // The next run, while the page is looked at and shows the present.
  function schedule() {
    clearTimeout(timer);
    if (state.refresh && !state.end) timer = setTimeout(() => (document.hidden ? schedule() : run()), state.refresh * 1000);
  }

  async function run() {
    schedule();
    if (running) running.abort(); // the server stops working on a query whose client is gone
    if (!state.expr.trim()) {
      clearResult();
      clearData();
      $("status").textContent = "";
      showEmpty("Write an expression and press Enter.");
      return;
    }
    const mine = running = new AbortController();
    const began = performance.now(), graph = state.tab === "graph";
    $("status").textContent = "Running …";
    try {
      const range = rangeNow();
      const body = graph
        ? await ask("api/v1/query_range", { query: state.expr, start: range.start, end: range.end, step: range.step }, mine.signal)
        : await ask("api/v1/query", { query: state.expr, ...(state.end ? { time: state.end } : {}) }, mine.signal);
      if (mine !== running) return;
      clearResult();
      $("panel-" + state.tab).hidden = false;
      const ms = Math.round(performance.now() - began);
      if (graph) showGraph(body, range, ms);
      else showTable(body, ms);
    } catch (e) {
      if (mine !== running || e.name === "AbortError") return;
      clearResult();
      $("status").textContent = "";
      clearData();
      showError(e.message || String(e));
    }
  }

  // ---- the address ----

  function read() {
    const p = new URLSearchParams(location.search);
    state.expr = p.get("expr") ?? p.get("g0.expr") ?? "up"; // something to see at the first visit
    const tab = p.get("tab") ?? p.get("g0.tab");
    state.tab = tab === "graph" || tab === "0" ? "graph" : "table";
    const range = Number(p.get("range"));
    state.range = range >= 60 && range <= 31536000 ? Math.floor(range) : 3600;
    const end = Number(p.get("end"));
    state.end = end > 0 && end < 1e11 ? end : null;
    const refresh = Number(p.get("refresh"));
    state.refresh = refresh >= 1 && refresh <= 86400 ? Math.floor(refresh) : 0;
  }

  function write() {
    const p = new URLSearchParams();
    p.set("expr", state.expr);
    if (state.tab === "graph") p.set("tab", "graph");
    if (state.range !== 3600) p.set("range", String(state.range));
    if (state.end) p.set("end", String(state.end));
    if (state.refresh) p.set("refresh", String(state.refresh));
    const query = p.toString();
    const url = new URL("query" + (query ? "?" + query : ""), location.href).href;
    if (url.length < 60000 && url !== location.href.split("#")[0]) history.pushState(null, "", url);
  }

  // ---- controls ----

  function fit() {
    const box = $("expr");
    box.style.height = "auto";
    box.style.height = Math.min(box.scrollHeight + 2, 300) + "px";
  }

  function localTime(seconds) {
    const d = new Date(seconds * 1000 - new Date(seconds * 1000).getTimezoneOffset() * 60000);
    return d.toISOString().slice(0, 19);
  }

  // A value of the address that the list has not is added to it.
  function choose(select, value) {
    if (![...select.options].some((o) => Number(o.value) === value)) {
      const option = document.createElement("option");
      option.value = String(value);
      option.textContent = value + "s";
      select.append(option);
    }
    select.value = String(value);
  }

  function reflect() {
    $("expr").value = state.expr;
    $("time").value = state.end ? localTime(state.end) : "";
    choose($("range"), state.range);
    choose($("refresh"), state.refresh);
    $("time-label").textContent = state.tab === "graph" ? "Until" : "At";
    $("now").disabled = !state.end;
    document.title = (state.expr ? state.expr.slice(0, 60) + " – " : "") + "Belfry";
    for (const name of ["table", "graph"]) {
      const on = state.tab === name;
      $("tab-" + name).setAttribute("aria-selected", String(on));
      $("tab-" + name).tabIndex = on ? 0 : -1;
      $("panel-" + name).hidden = !on;
    }
    $("range-field").hidden = state.tab !== "graph";
    fit();
  }

  function change(part) {
    if ((part.expr ?? state.expr) !== state.expr) hidden.clear();
    Object.assign(state, part);
    write();
    reflect();
    run();
  }

  $("query-form").addEventListener("submit", (e) => {
    e.preventDefault();
    Complete.close();
    change({ expr: $("expr").value });
  });
  $("expr").addEventListener("input", fit);
  $("expr").addEventListener("keydown", (e) => {
    if (Complete.key(e)) return;
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      $("query-form").requestSubmit();
    }
  });
  for (const name of ["table", "graph"]) {
    $("tab-" + name).addEventListener("click", () => change({ tab: name, expr: $("expr").value }));
    $("tab-" + name).addEventListener("keydown", (e) => {
      if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
      const other = name === "table" ? "graph" : "table";
      change({ tab: other });
      $("tab-" + other).focus();
    });
  }
  $("range").addEventListener("change", () => change({ range: Number($("range").value) }));
  $("refresh").addEventListener("change", () => change({ refresh: Number($("refresh").value) }));
  $("time").addEventListener("change", () => {
    const ms = Date.parse($("time").value);
    change({ end: Number.isFinite(ms) ? ms / 1000 : null });
  });
  $("now").addEventListener("click", () => change({ end: null }));
  addEventListener("popstate", () => { read(); reflect(); run(); });

  Chart.init($("canvas"), $("tooltip"), () => {
    for (const swatch of document.querySelectorAll(".swatch")) swatch.style.color = Chart.color(swatch.dataset.index);
  });
  Complete.init($("expr"), $("suggestions"));
  addEventListener("resize", fit);
  requestAnimationFrame(fit); // once the style sheet has set the width
  read();
  reflect();
  run();
  if (!location.search && matchMedia("(pointer: fine)").matches) $("expr").focus();
})();
