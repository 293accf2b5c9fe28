// SPDX-License-Identifier: Apache-2.0
// The targets page: what is scraped, and how it went.
"use strict";

(() => {
  if (!location.pathname.endsWith("/targets")) return;
  const REFRESH_MS = 5000;
  const $ = (id) => document.getElementById(id);
  let last = null;

  $("targets-page").hidden = false;
  $("nav-targets").setAttribute("aria-current", "page");
  document.title = "Targets – Belfry";

  function cell(head, ...content) {
    const td = document.createElement("td");
    if (head) td.dataset.head = head;
    td.append(...content);
    return td;
  }

  function link(url) {
    if (!/^https?:\/\//.test(url)) return document.createTextNode(url);
    const a = document.createElement("a");
    a.href = url;
    a.rel = "noopener noreferrer";
    a.textContent = url;
    return a;
  }

  function badge(health) {
    const span = document.createElement("span");
    span.className = "state " + (health === "up" || health === "down" ? health : "unknown");
    span.textContent = health;
    return span;
  }

  function chips(labels) {
    return Object.entries(labels).map(([name, value]) => {
      const span = document.createElement("span");
      span.className = "chip";
      span.textContent = name + "=" + JSON.stringify(value);
      return span;
    });
  }

  function ago(text) {
    const ms = Date.parse(text);
    if (!(ms > 0)) return "never";
    const s = Math.max(0, (Date.now() - ms) / 1000);
    if (s < 60) return s.toFixed(1) + " s ago";
    if (s < 3600) return Math.floor(s / 60) + " min ago";
    return Math.floor(s / 3600) + " h ago";
  }

  function row(t) {
    const tr = document.createElement("tr");
    const error = document.createElement("span");
    error.className = "target-error";
    error.textContent = t.lastError;
    tr.append(
      cell("", link(t.scrapeUrl)), cell("", badge(t.health)), cell("Labels", ...chips(t.labels)),
      cell("Last scrape", ago(t.lastScrape) + ", took " + (t.lastScrapeDuration * 1000).toFixed(1) + " ms"),
      cell(t.lastError ? "Error" : "", error));
    return tr;
  }

  function table(pool, targets) {
    const heading = document.createElement("h2"), wrap = document.createElement("div"), t = document.createElement("table");
    const up = targets.filter((x) => x.health === "up").length;
    heading.textContent = pool + " (" + up + " of " + targets.length + " up)";
    if (up < targets.length) heading.className = "count-down";
    wrap.className = "scroll";
    t.className = "targets-table";
    const head = t.createTHead().insertRow();
    for (const text of ["Endpoint", "State", "Labels", "Last scrape", "Error"]) {
      const th = document.createElement("th");
      th.scope = "col";
      th.textContent = text;
      head.append(th);
    }
    const body = t.createTBody();
    const shown = $("only-down").checked ? targets.filter((x) => x.health !== "up") : targets;
    body.append(...shown.map(row));
    wrap.append(t);
    return shown.length ? [heading, wrap] : [];
  }

  function show() {
    const pools = new Map();
    for (const t of last.activeTargets) {
      if (!pools.has(t.scrapePool)) pools.set(t.scrapePool, []);
      pools.get(t.scrapePool).push(t);
    }
    const all = last.activeTargets.length, up = last.activeTargets.filter((t) => t.health === "up").length;
    $("targets-summary").textContent = up + " of " + all + " up";
    const focused = [...$("targets").querySelectorAll("a")].indexOf(document.activeElement);
    $("targets").replaceChildren(...[...pools].flatMap(([pool, targets]) => table(pool, targets)));
    if (focused >= 0) $("targets").querySelectorAll("a")[focused]?.focus();
    $("targets-empty").textContent = all ? "All targets are up." : "The configuration names no targets: add scrape_configs and send SIGHUP.";
    $("targets-empty").hidden = $("targets").childElementCount > 0;
  }

  // Not while nobody looks, nor while text is being selected: the list is made anew each time.
  const busy = () => document.hidden || (!getSelection().isCollapsed && $("targets").contains(getSelection().anchorNode));

  async function load() {
    if (last && busy()) {
      setTimeout(load, REFRESH_MS);
      return;
    }
    try {
      const answer = await fetch("api/v1/targets?state=active");
      if (answer.status === 401) location.reload();
      const body = await answer.json();
      if (body.status !== "success") throw new Error(body.error);
      last = body.data;
      $("targets-error").hidden = true;
      show();
    } catch (e) {
      $("targets-error").textContent = "could not load the targets: " + e.message;
      $("targets-error").hidden = false;
    }
    setTimeout(load, REFRESH_MS);
  }

  $("only-down").checked = new URLSearchParams(location.search).has("down");
  $("only-down").addEventListener("change", () => {
    history.replaceState(null, "", $("only-down").checked ? "targets?down" : "targets");
    if (last) show();
  });
  load();
})();
