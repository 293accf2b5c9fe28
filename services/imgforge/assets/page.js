"use strict";
/* Builds the URL from the form, signs it here, and shows what the server makes of it. Nothing that is typed is kept. */

const $ = (id) => document.getElementById(id);
const PREVIEW_WAIT_MS = 400;

/* ---- bytes ---- */

const utf8 = (text) => new TextEncoder().encode(text);

function base64url(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromHex(text, name) {
  const digits = text.trim().split(",")[0];
  if (!/^([0-9a-f]{2})+$/i.test(digits)) throw new Error(name + ": an even number of hexadecimal digits is expected");
  return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
}

function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/* ---- HMAC-SHA256: WebCrypto is there on https and localhost only; elsewhere FIPS 180-4 and RFC 2104 by hand ---- */

const PRIMES = [];
for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32);
const ROUND = PRIMES.map((p) => fraction(Math.cbrt(p)));
const START = PRIMES.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
const turn = (x, n) => (x >>> n) | (x << (32 - n));

function sha256Block(hash, view, at) {
  const w = [];
  for (let i = 0; i < 64; i++) {
    if (i < 16) {
      w[i] = view.getUint32(at + 4 * i);
      continue;
    }
    const a = w[i - 15], b = w[i - 2];
    w[i] = (w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10))) | 0;
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let i = 0; i < 64; i++) {
    const t1 = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
    const t2 = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g];
  }
  [a, b, c, d, e, f, g, h].forEach((x, i) => (hash[i] = (hash[i] + x) | 0));
}

function sha256(bytes) {
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  const view = new DataView(padded.buffer), hash = START.slice(), out = new DataView(new ArrayBuffer(32));
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length * 8);
  for (let at = 0; at < padded.length; at += 64) sha256Block(hash, view, at);
  hash.forEach((x, i) => out.setInt32(4 * i, x));
  return new Uint8Array(out.buffer);
}

function hmacByHand(key, message) {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha256(key) : key);
  return sha256(concat(block.map((x) => x ^ 0x5c), sha256(concat(block.map((x) => x ^ 0x36), message))));
}

async function hmac(key, message) {
  if (!globalThis.crypto?.subtle) return hmacByHand(key, message);
  const use = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", use, message));
}

/* ---- the path ---- */

/* What a server or browser would read as something else is escaped; the rest stays readable. */
function plainSource(source) {
  return encodeURIComponent(source).replace(/%(2F|3A|26|3D|2B|2C|3B|24)/g, (code) => decodeURIComponent(code));
}

function sourcePart(source, format) {
  const climbs = /(^|\/)\.{1,2}(\/|$)/.test(source); /* browsers resolve these in a path */
  return $("encoding").value === "plain" && !climbs
    ? "plain/" + plainSource(source) + (format && "@" + format)
    : base64url(utf8(source)) + (format && "." + format);
}

function optionParts() {
  const value = (id) => $(id).value.trim();
  const parts = [];
  const add = (name, ...args) => {
    while (args.length && args[args.length - 1] === "") args.pop();
    if (args.length) parts.push([name, ...args].join(":"));
  };
  const hasSize = value("resize") && (value("width") || value("height"));
  if (hasSize) add("rs", value("resize"), value("width"), value("height"), $("enlarge").checked ? "1" : "");
  add("g", value("gravity"));
  for (const [name, id] of [["dpr", "dpr"], ["q", "quality"], ["bl", "blur"], ["sh", "sharpen"], ["pix", "pixelate"],
    ["br", "brightness"], ["co", "contrast"], ["sa", "saturation"], ["rot", "rotate"], ["pd", "padding"], ["bg", "background"]])
    add(name, value(id));
  if (value("opacity")) add("wm", value("opacity"), value("position"));
  if (value("watermark")) add("wmu", base64url(utf8(value("watermark"))));
  return parts.concat(value("more").split("/").filter((part) => part.includes(":")).map(encodeURI));
}

async function signatureOf(path) {
  const key = $("key").value.trim(), salt = $("salt").value.trim();
  if (!key && !salt) return "unsafe";
  const bytes = await hmac(fromHex(key, "Key"), concat(fromHex(salt, "Salt"), utf8(path)));
  return base64url(bytes.slice(0, Math.min(32, Math.max(1, Number($("size").value) || 32))));
}

/* ---- what is shown ---- */

const home = location.pathname.replace(/\/+$/, ""); /* IMGFORGE_PATH_PREFIX, or nothing */
let turnNumber = 0, timer = 0, request = null;

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function forget() {
  clearTimeout(timer);
  request?.abort();
  $("figure").hidden = true;
  $("status").textContent = "";
}

async function show(path) {
  request = new AbortController();
  const token = $("token").value.trim(), began = performance.now(), mine = request;
  $("status").textContent = "Loading …";
  try {
    const answer = await fetch(home + path, { signal: mine.signal, headers: token ? { Authorization: "Bearer " + token } : {} });
    const body = await answer.blob();
    const ms = Math.round(performance.now() - began);
    $("status").textContent = "";
    if (!answer.ok) return complain(answer.status + " " + (await body.text()).slice(0, 500));
    URL.revokeObjectURL($("preview").src);
    $("preview").src = URL.createObjectURL(body);
    await $("preview").decode();
    const cache = answer.headers.get("Cache-Status");
    $("caption").textContent = [$("preview").naturalWidth + " × " + $("preview").naturalHeight, body.type,
      body.size.toLocaleString() + " bytes", ms + " ms", cache && "cache " + cache.toLowerCase()].filter(Boolean).join(", ");
    $("figure").hidden = false;
  } catch (error) {
    if (mine.signal.aborted) return;
    $("status").textContent = "";
    complain(error.name === "EncodingError" ? "This browser does not show the format." : "The server did not answer: " + error.message);
  }
}

async function update() {
  const turnIs = ++turnNumber, source = $("source").value.trim();
  forget();
  complain("");
  $("url").value = "";
  $("copy").disabled = true;
  if (!source) return ($("status").textContent = "An image URL is missing.");
  try {
    const path = "/" + [...optionParts(), sourcePart(source, $("format").value)].join("/");
    const signed = "/" + (await signatureOf(path)) + path;
    if (turnIs !== turnNumber) return; /* typed on meanwhile */
    $("url").value = location.origin + home + signed;
    $("copy").disabled = false;
    if ($("live").checked) timer = setTimeout(show, PREVIEW_WAIT_MS, signed);
  } catch (error) {
    complain(error.message);
  }
}

async function copy() {
  $("url").select();
  let done = true;
  if (navigator.clipboard) await navigator.clipboard.writeText($("url").value).catch(() => (done = false));
  else done = document.execCommand("copy"); /* plain http has no clipboard */
  $("status").textContent = done ? "Copied." : "Press Ctrl+C to copy.";
}

$("crypto").textContent = globalThis.crypto?.subtle
  ? "The browser's WebCrypto signs."
  : "WebCrypto needs https or localhost; on this plain http page the page's own HMAC-SHA256 signs.";
$("form").addEventListener("submit", (event) => event.preventDefault());
$("form").addEventListener("input", update);
$("live").addEventListener("change", update);
$("copy").addEventListener("click", copy);
update();
