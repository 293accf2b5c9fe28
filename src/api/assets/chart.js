// SPDX-License-Identifier: Apache-2.0
// A line graph on a canvas: axes, lines with gaps, the nearest point under the pointer. Text from outside
// only ever reaches the page through textContent and fillText.
"use strict";

const Chart = (() => {
  const LIGHT = ["#b93c0a", "#1d62b8", "#17753f", "#8b3fb0", "#9a6700", "#0b7285", "#c2255c", "#5c6b00", "#4338ca", "#6b4423"];
  const DARK = ["#ff9a66", "#7db5ff", "#6fd598", "#d39bf2", "#f0c654", "#5fd3e4", "#ff8fb3", "#c5d456", "#a5a1ff", "#d2a679"];
  const PAD = { top: 12, right: 14, bottom: 28, left: 44 };
  const DASHES = [["", []], ["dash", [7, 4]], ["dots", [2, 3]]]; // when the colours are used up
  const FONT = "12px system-ui, 'DejaVu Sans', sans-serif";
  const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

  let canvas, tooltip, recolor = () => {}, shown = null, hovered = null;

  const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const color = (i) => (dark() ? DARK : LIGHT)[i % LIGHT.length];
  const dashing = (i) => DASHES[Math.floor(i / LIGHT.length) % DASHES.length];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Steps of 1, 2 or 5 times a power of ten.
  function niceStep(span, count) {
    const raw = span / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  }

  // One unit for the whole axis: that of its largest value. Plain numbers down to a thousandth, and where
  // the unit would hide how the ticks differ.
  function formatValue(v, step, largest) {
    if (v === 0) return "0";
    if (largest >= 1e15 || largest < 1e-9) return v.toExponential(2);
    const [size, unit] = largest < 1 && largest >= 1e-3 ? [1, ""] : UNITS.find(([s]) => largest >= s) || [1e-9, "n"];
    const decimals = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
    if (decimals > 4 && size > 1) return v.toLocaleString("en", { maximumFractionDigits: 6 });
    return (v / size).toFixed(Math.min(decimals, 9)) + unit;
  }

  // A value in a few characters, for the legend.
  function short(v) {
    if (!Number.isFinite(v)) return Number.isNaN(v) ? "" : String(v);
    const size = Math.abs(v);
    if (v === 0) return "0";
    if (size >= 1e15 || size < 1e-4) return v.toExponential(2);
    return size >= 1e6 ? (v / 10 ** (3 * Math.floor(Math.log10(size) / 3))).toPrecision(4) + ["M", "G", "T"][Math.floor(Math.log10(size) / 3) - 2]
      : String(Number(v.toPrecision(size >= 1000 ? 6 : 4)));
  }

  const two = (n) => String(n).padStart(2, "0");
  function formatTime(seconds, step) {
    const d = new Date(seconds * 1000);
    const clock = two(d.getHours()) + ":" + two(d.getMinutes());
    const day = two(d.getMonth() + 1) + "-" + two(d.getDate());
    if (step < 60) return clock + ":" + two(d.getSeconds());
    if (step < 43200) return clock === "00:00" ? day : clock;
    return day;
  }

  // With the offset, so that nobody has to guess whose clock it is.
  function fullTime(seconds) {
    const d = new Date(seconds * 1000), minutes = -d.getTimezoneOffset(), size = Math.abs(minutes);
    const zone = minutes ? (minutes < 0 ? "-" : "+") + two(Math.floor(size / 60)) + ":" + two(size % 60) : " UTC";
    return d.getFullYear() + "-" + two(d.getMonth() + 1) + "-" + two(d.getDate()) + " " + two(d.getHours()) + ":" +
      two(d.getMinutes()) + ":" + two(d.getSeconds()) + (zone[0] === " " ? zone : " " + zone);
  }

  function bounds(series) {
    let low = Infinity, high = -Infinity;
    for (const s of series) {
      if (s.off) continue;
      for (const [, v] of s.points) {
        if (!Number.isFinite(v)) continue;
        if (v < low) low = v;
        if (v > high) high = v;
      }
    }
    if (low > high) return [0, 1];
    if (low > 0 && low < high * 0.6) low = 0;
    if (low === high) { const d = Math.abs(low) * 0.1 || 1; return [low - d, high + d]; }
    const margin = (high - low) * 0.05;
    return [low === 0 ? 0 : low - margin, high + margin];
  }

  const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
    172800, 345600, 604800];

  function axes(g, view) {
    g.font = FONT;
    g.fillStyle = css("--soft");
    g.strokeStyle = css("--line");
    g.lineWidth = 1;
    const stepY = niceStep(view.high - view.low, Math.floor(view.height / 50));
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const { v, text } of view.ticks) {
      const y = Math.round(view.y(v)) + 0.5;
      g.beginPath();
      g.moveTo(view.left, y);
      g.lineTo(view.left + view.width, y);
      g.stroke();
      g.fillText(text, view.left - 8, y);
    }
    const wanted = (view.end - view.start) / Math.max(2, Math.floor(view.width / 80));
    const stepX = TIME_STEPS.find((s) => s >= wanted) || 1209600;
    const shift = new Date(view.start * 1000).getTimezoneOffset() * 60;
    g.textAlign = "center";
    g.textBaseline = "top";
    for (let t = Math.ceil((view.start - shift) / stepX) * stepX + shift; t <= view.end; t += stepX) {
      const x = Math.round(view.x(t)) + 0.5;
      g.beginPath();
      g.moveTo(x, PAD.top + view.height);
      g.lineTo(x, PAD.top + view.height + 5);
      g.stroke();
      g.fillText(formatTime(t, stepX), x, PAD.top + view.height + 8);
    }
  }

  function line(g, view, s) {
    g.strokeStyle = g.fillStyle = color(s.index);
    g.setLineDash(dashing(s.index)[1]);
    g.lineWidth = hovered && hovered.series === s ? 2.5 : 1.5;
    g.beginPath();
    let last = null;
    for (const [t, v] of s.points) {
      if (!Number.isFinite(v)) { last = null; continue; }
      const x = view.x(t), y = view.y(v);
      if (last !== null && t - last <= shown.step * 1.5) g.lineTo(x, y);
      else { g.moveTo(x, y); g.rect(x - 0.5, y - 0.5, 1, 1); g.moveTo(x, y); }
      last = t;
    }
    g.stroke();
    g.setLineDash([]);
  }

  function ticksOf(low, high, height) {
    const step = niceStep(high - low, Math.floor(height / 60)), largest = Math.max(Math.abs(low), Math.abs(high)), ticks = [];
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-6; i++)
      ticks.push({ v: i * step, text: formatValue(i * step, step, largest) });
    return ticks;
  }

  // The left margin is as wide as the longest label.
  function viewOf(width, height) {
    const [low, high] = bounds(shown.series), inner = height - PAD.top - PAD.bottom;
    const ticks = ticksOf(low, high, inner), g = canvas.getContext("2d");
    g.font = FONT;
    const left = Math.max(PAD.left, Math.ceil(Math.max(...ticks.map((t) => g.measureText(t.text).width), 0)) + 14);
    const view = { low, high, ticks, left, start: shown.start, end: shown.end, width: width - left - PAD.right, height: inner };
    view.x = (t) => left + (t - view.start) / (view.end - view.start) * view.width;
    view.y = (v) => PAD.top + (1 - (v - low) / (high - low)) * view.height;
    return view;
  }

  function draw() {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    g.clearRect(0, 0, width, height);
    if (!shown) return;
    const view = viewOf(width, height);
    axes(g, view);
    g.save();
    g.beginPath();
    g.rect(view.left, 0, view.width + PAD.right, height - PAD.bottom + 1);
    g.clip();
    for (const s of shown.series) if (!s.off) line(g, view, s);
    if (hovered) {
      const x = Math.round(view.x(hovered.point[0])) + 0.5;
      g.strokeStyle = css("--soft");
      g.lineWidth = 1;
      g.setLineDash([3, 3]);
      g.beginPath();
      g.moveTo(x, PAD.top);
      g.lineTo(x, PAD.top + view.height);
      g.stroke();
      g.setLineDash([]);
      g.beginPath();
      g.arc(view.x(hovered.point[0]), view.y(hovered.point[1]), 4, 0, 7);
      g.fillStyle = color(hovered.series.index);
      g.fill();
    }
    g.restore();
  }

  function nearest(x, y) {
    const view = viewOf(canvas.clientWidth, canvas.clientHeight);
    const t = view.start + (x - view.left) / view.width * (view.end - view.start);
    let best = null, bestDistance = 40 * 40;
    for (const s of shown.series) {
      if (s.off) continue;
      let lo = 0, hi = s.points.length; // the first point at or after t
      while (lo < hi) { const mid = (lo + hi) >> 1; if (s.points[mid][0] < t) lo = mid + 1; else hi = mid; }
      for (const i of [lo - 1, lo]) {
        const p = s.points[i];
        if (!p || !Number.isFinite(p[1])) continue;
        const d = (view.x(p[0]) - x) ** 2 + (view.y(p[1]) - y) ** 2;
        if (d < bestDistance) { bestDistance = d; best = { series: s, point: p, x: view.x(p[0]), y: view.y(p[1]) }; }
      }
    }
    return best;
  }

  function hover(event) {
    if (!shown) return;
    const box = canvas.getBoundingClientRect();
    hovered = nearest(event.clientX - box.left, event.clientY - box.top);
    tooltip.hidden = !hovered;
    if (hovered) {
      const value = document.createElement("strong");
      value.textContent = String(hovered.point[1]);
      const time = document.createElement("div");
      time.textContent = fullTime(hovered.point[0]);
      const name = document.createElement("div");
      name.textContent = hovered.series.name;
      tooltip.replaceChildren(value, time, name);
      const left = hovered.x + 14 + tooltip.offsetWidth > box.width ? hovered.x - 14 - tooltip.offsetWidth : hovered.x + 14;
      tooltip.style.left = Math.max(0, left) + "px";
      tooltip.style.top = Math.max(0, Math.min(hovered.y + 10, box.height - tooltip.offsetHeight)) + "px";
    }
    draw();
  }

  function leave() {
    hovered = null;
    tooltip.hidden = true;
    draw();
  }

  return {
    init(canvasElement, tooltipElement, onRecolor) {
      recolor = onRecolor;
      canvas = canvasElement;
      tooltip = tooltipElement;
      new ResizeObserver(draw).observe(canvas);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { draw(); recolor(); });
      canvas.addEventListener("pointermove", hover);
      canvas.addEventListener("pointerdown", hover);
      canvas.addEventListener("pointerleave", leave);
    },
    // data: {start, end, step (seconds), series: [{name, index, points: [[seconds, number]], off}]}
    show(data) { shown = data; hovered = null; tooltip.hidden = true; draw(); },
    clear() { shown = null; hovered = null; tooltip.hidden = true; draw(); },
    redraw: draw,
    color,
    dash: (i) => dashing(i)[0], // a class of the legend's swatch
    short,
  };
})();
