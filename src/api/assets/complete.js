// SPDX-License-Identifier: Apache-2.0
// Completion of metric names and PromQL's words at the caret.
"use strict";

const Complete = (() => {
  const WORDS = ["abs", "absent", "absent_over_time", "avg", "avg_over_time", "bottomk", "by", "ceil", "changes",
    "clamp", "clamp_max", "clamp_min", "count", "count_over_time", "count_values", "day_of_month", "day_of_week",
    "day_of_year", "days_in_month", "delta", "deriv", "exp", "floor", "group", "group_left", "group_right",
    "histogram_quantile", "hour", "idelta", "ignoring", "increase", "irate", "label_join", "label_replace",
    "last_over_time", "ln", "log10", "log2", "max", "max_over_time", "min", "min_over_time", "minute", "month", "offset",
    "predict_linear", "present_over_time", "quantile", "quantile_over_time", "rate", "resets", "round", "scalar", "sgn",
    "sort", "sort_desc", "sqrt", "stddev", "stddev_over_time", "stdvar", "sum", "sum_over_time", "time", "timestamp",
    "topk", "unless", "vector", "without", "year"];
  const NAMES_MAX = 20000, SHOWN_MAX = 12;

  let input, list, names = null, loading = null, items = [], selected = -1, word = null;

  // Once, also for those who type while the names are on their way.
  function load() {
    loading ??= fetch("api/v1/label/__name__/values?limit=" + NAMES_MAX)
      .then((answer) => answer.json())
      .then((body) => { if (body.status === "success") names = body.data; })
      .catch(() => { loading = null; }); // asked again at the next key: completion is a help, not a need
    return loading;
  }

  // The identifier that ends at the caret; not inside quotes or braces, where labels are.
  function wordAtCaret() {
    const before = input.value.slice(0, input.selectionStart);
    if (input.selectionStart !== input.selectionEnd) return null;
    if ((before.match(/"/g) || []).length % 2 || before.lastIndexOf("{") > before.lastIndexOf("}")) return null;
    const match = /[a-zA-Z_:][a-zA-Z0-9_:]*$/.exec(before);
    if (!match || match[0].length < 2) return null;
    return { text: match[0], start: match.index, end: input.selectionStart };
  }

  function find(text) {
    const low = text.toLowerCase(), starts = [], holds = [];
    for (const n of WORDS.concat(names || [])) {
      const at = n.toLowerCase().indexOf(low);
      if (at === 0 && n !== text) starts.push(n);
      else if (at > 0 && low.length > 2) holds.push(n);
      if (starts.length >= SHOWN_MAX) break;
    }
    return starts.concat(holds).slice(0, SHOWN_MAX);
  }

  function close() {
    items = [];
    selected = -1;
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    selected = index;
    [...list.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === index)));
    if (index >= 0) input.setAttribute("aria-activedescendant", list.children[index].id);
    else input.removeAttribute("aria-activedescendant");
  }

  function take(index) {
    const text = items[index];
    input.setRangeText(text, word.start, word.end, "end");
    close();
    input.focus();
    input.dispatchEvent(new Event("change"));
  }

  function update() {
    word = wordAtCaret();
    items = word ? find(word.text) : [];
    if (!items.length) { close(); return; }
    list.replaceChildren(...items.map((text, i) => {
      const li = document.createElement("li");
      li.textContent = text;
      li.id = "suggestion-" + i;
      li.setAttribute("role", "option");
      li.addEventListener("pointerdown", (e) => { e.preventDefault(); take(i); });
      return li;
    }));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(-1);
  }

  // True when the key was for the list.
  function key(event) {
    if (list.hidden) return false;
    if (event.key === "ArrowDown") mark((selected + 1) % items.length);
    else if (event.key === "ArrowUp") mark((selected + items.length) % (items.length + 1) - 1);
    else if (event.key === "Escape") close();
    else if (event.key === "Tab" && !event.shiftKey) take(Math.max(selected, 0));
    else if (event.key === "Enter" && selected >= 0) take(selected);
    else return false;
    event.preventDefault();
    return true;
  }

  return {
    init(inputElement, listElement) {
      input = inputElement;
      list = listElement;
      input.addEventListener("focus", load);
      input.addEventListener("input", () => load().then(update));
      input.addEventListener("blur", close);
    },
    key,
    close,
  };
})();
