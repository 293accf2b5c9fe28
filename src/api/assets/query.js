// SPDX-License-Identifier: Apache-2.0
// The query page: an expression, its table and its graph; what is shown is in the address.
"use strict";

(() => {
  const path = location.pathname;
  if (path === "/targets") return;
  const ROWS_MAX = 2000, LINES_MAX = 200, POINTS_MAX = 600, VALUES_MAX = 50;
  const $ = (id) => document.getElementById(id);
  const state = { expr: "", tab: "table", range: 3600, end: null };
  let running = null;

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
    if (metric.__name__) add(metric.__name__, "name");
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

  function showError(text) {
    $("error").textContent = text;
    $("error").hidden = false;
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
    $("status").textContent = (rows.length ? count : "Empty result") + ", " + ms + " ms";
  }

  function showGraph(body, range, ms) {
    const all = body.data.result, extra = [];
    if (all.length > LINES_MAX) extra.push("only the first " + LINES_MAX + " of " + all.length + " series are drawn");
    const series = all.slice(0, LINES_MAX).map((s, index) => ({
      name: textOf(s.metric), index, off: false, points: s.values.map(([t, v]) => [t, Number(v)]),
    }));
    Chart.show({ start: range.start, end: range.end, step: range.step, series });
    $("legend").replaceChildren(...series.map((s) => {
      const li = document.createElement("li"), button = document.createElement("button");
      const swatch = document.createElement("span"), name = document.createElement("span");
      button.type = "button";
      swatch.className = "swatch";
      swatch.style.background = Chart.color(s.index);
      labelsOf(all[s.index].metric, name);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        s.off = !s.off;
        button.setAttribute("aria-pressed", String(!s.off));
        Chart.redraw();
      });
      button.append(swatch, name);
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
    const text = await answer.text();
    let body;
    try { body = JSON.parse(text); } catch (e) { throw new Error("HTTP " + answer.status + ": " + text.slice(0, 500)); }
    if (body.status !== "success") throw new Error(body.error || "HTTP " + answer.status);
    return body;
  }

  async function run() {
    if (running) running.abort(); // the server stops working on a query whose client is gone
    if (!state.expr.trim()) {
      clearResult();
      $("status").textContent = "";
      $("results").tBodies[0].replaceChildren();
      $("legend").replaceChildren();
      Chart.clear();
      return;
    }
    const mine = running = new AbortController();
    const began = performance.now(), graph = state.tab === "graph";
    $("status").textContent = "Running …";
    try {
      const range = rangeNow();
      const body = graph
        ? await ask("/api/v1/query_range", { query: state.expr, start: range.start, end: range.end, step: range.step }, mine.signal)
        : await ask("/api/v1/query", { query: state.expr, ...(state.end ? { time: state.end } : {}) }, mine.signal);
      if (mine !== running) return;
      clearResult();
      const ms = Math.round(performance.now() - began);
      if (graph) showGraph(body, range, ms);
      else showTable(body, ms);
    } catch (e) {
      if (mine !== running || e.name === "AbortError") return;
      clearResult();
      $("status").textContent = "";
      $("results").tBodies[0].replaceChildren();
      $("legend").replaceChildren();
      Chart.clear();
      showError(e.message || String(e));
    }
  }

  // ---- the address ----

  function read() {
    const p = new URLSearchParams(location.search);
    state.expr = p.get("expr") ?? p.get("g0.expr") ?? "";
    const tab = p.get("tab") ?? p.get("g0.tab");
    state.tab = tab === "graph" || tab === "0" ? "graph" : "table";
    const range = Number(p.get("range"));
    state.range = range >= 60 && range <= 31536000 ? Math.floor(range) : 3600;
    const end = Number(p.get("end"));
    state.end = end > 0 && end < 1e11 ? end : null;
  }

  function write() {
    const p = new URLSearchParams();
    if (state.expr) p.set("expr", state.expr);
    if (state.tab === "graph") p.set("tab", "graph");
    if (state.range !== 3600) p.set("range", String(state.range));
    if (state.end) p.set("end", String(state.end));
    const query = p.toString();
    const url = "/query" + (query ? "?" + query : "");
    if (url.length < 60000 && url !== location.pathname + location.search) history.pushState(null, "", url);
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

  function reflect() {
    $("expr").value = state.expr;
    $("time").value = state.end ? localTime(state.end) : "";
    const select = $("range");
    if (![...select.options].some((o) => Number(o.value) === state.range)) {
      const option = document.createElement("option");
      option.value = String(state.range);
      option.textContent = state.range + "s";
      select.append(option);
    }
    select.value = String(state.range);
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
  $("time").addEventListener("change", () => {
    const ms = Date.parse($("time").value);
    change({ end: Number.isFinite(ms) ? ms / 1000 : null });
  });
  $("now").addEventListener("click", () => change({ end: null }));
  addEventListener("popstate", () => { read(); reflect(); run(); });

  Chart.init($("canvas"), $("tooltip"));
  Complete.init($("expr"), $("suggestions"));
  addEventListener("resize", fit);
  requestAnimationFrame(fit); // once the style sheet has set the width
  read();
  reflect();
  run();
  if (!state.expr && matchMedia("(pointer: fine)").matches) $("expr").focus();
})();
