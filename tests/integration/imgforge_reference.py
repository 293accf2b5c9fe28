# SPDX-License-Identifier: Apache-2.0
"""What imgforge should make of a picture, reckoned a second time and apart from it: from the text of a URL's options to pixels.

Sizes and places are reckoned here from the specification; pixels that are only moved (cut, added around, turned, mirrored) are moved
here; whatever makes new values (decoding, resampling, blurring, matrices, flattening, colour differences) is a command
line of libvips' own program `vips`. Between commands a picture is a file in its .v format: 64 bytes, then rows of pixels.

    reference = Reference(folder)
    expected = reference.make(reference.decode("a.jpg"), parse("rs:fill:100:80/bl:2"), has_alpha=True)
"""
import array
import dataclasses
import math
import os
import struct
import subprocess

# vips loads the modules of its installation at each start (ImageMagick and others: half of the 80 ms that a command takes);
# told to look for them elsewhere it has only what is built in, which is all that is needed but for AVIF.
WITHOUT_MODULES = {**os.environ, "VIPSHOME": "/nonexistent", "VIPS_CONCURRENCY": "1"}
WITH_MODULES = {**os.environ, "VIPS_CONCURRENCY": "1"}


# --- pictures in memory: 8 bit, rows of pixels, 1 to 4 bands ---

@dataclasses.dataclass
class Picture:
    width: int
    height: int
    bands: int
    pixels: bytes

    @property
    def has_alpha(self):
        return self.bands in (2, 4)

    def rows(self):
        step = self.width * self.bands
        return [self.pixels[y * step:(y + 1) * step] for y in range(self.height)]

    def columns_of(self, row):
        return [row[x:x + self.bands] for x in range(0, len(row), self.bands)]


HEADER = struct.Struct("<4s7i2f24x")  # magic; width, height, bands, bits, format, coding, interpretation; resolution
INTERPRETATION = {1: 1, 2: 1, 3: 22, 4: 22}  # b-w, srgb
BYTE, FLOAT = (8, 0), (32, 6)  # bits and vips' number of a kind of values


def write_v(path, picture, kind=BYTE):
    with open(path, "wb") as f:
        f.write(HEADER.pack(b"\xb6\xa6\xf2\x08", picture.width, picture.height, picture.bands, *kind, 0,
                            INTERPRETATION[picture.bands], 1.0, 1.0))
        f.write(picture.pixels)


def read_v(path, kind="B"):
    """The picture of a file of vips; `kind` is the array code of its values ("B": bytes, "f": floats)."""
    with open(path, "rb") as f:
        data = f.read()
    width, height, bands = struct.unpack_from("<3i", data, 4)
    size = width * height * bands * array.array(kind).itemsize
    return Picture(width, height, bands, data[64:64 + size])


def cut(p, left, top, width, height):
    rows = p.rows()[top:top + height]
    return Picture(width, height, p.bands, b"".join(r[left * p.bands:(left + width) * p.bands] for r in rows))


def surround(p, left, top, width, height, color):
    """The picture at (left, top) of a larger one of this colour (as many values as bands)."""
    fill = bytes(color)
    line = fill * width
    body = [fill * left + r + fill * (width - left - p.width) for r in p.rows()]
    return Picture(width, height, p.bands, line * top + b"".join(body) + line * (height - top - p.height))


def turn(p, degrees):
    """Clockwise."""
    for _ in range(degrees // 90):
        columns = zip(*[p.columns_of(r) for r in reversed(p.rows())])
        p = Picture(p.height, p.width, p.bands, b"".join(b"".join(c) for c in columns))
    return p


def mirror(p, horizontally, vertically):
    rows = p.rows()
    if horizontally:
        rows = [b"".join(reversed(p.columns_of(r))) for r in rows]
    if vertically:
        rows.reverse()
    return Picture(p.width, p.height, p.bands, b"".join(rows))


def upright(p, orientation):
    """Undoes what EXIF says of how the camera was held."""
    steps = {1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True), 5: (90, True), 6: (90, False),
             7: (270, True), 8: (270, False)}
    degrees, mirrored = steps[orientation]
    return mirror(turn(p, degrees), mirrored, False)


def with_bands(p, bands):
    """The same with more bands: grey is repeated, what has no alpha is opaque."""
    colors, alpha = (p.bands - 1, True) if p.has_alpha else (p.bands, False)
    step = p.bands
    planes = [p.pixels[i::step] for i in range(colors)]
    if bands > 2 and colors == 1:
        planes *= 3
    if bands in (2, 4):
        planes.append(p.pixels[step - 1::step] if alpha else b"\xff" * (p.width * p.height))
    out = bytearray(len(planes[0]) * bands)
    for i, plane in enumerate(planes):
        out[i::bands] = plane
    return Picture(p.width, p.height, bands, bytes(out))


# --- options ---

ALIASES = {
    "rs": "resize", "s": "size", "rt": "resizing_type", "ra": "resizing_algorithm", "w": "width", "h": "height",
    "min-width": "min_width", "mw": "min_width", "min-height": "min_height", "mh": "min_height", "z": "zoom", "el": "enlarge",
    "ex": "extend", "exar": "extend_aspect_ratio", "extend_ar": "extend_aspect_ratio", "g": "gravity", "c": "crop", "t": "trim",
    "pd": "padding", "ar": "auto_rotate", "rot": "rotate", "fl": "flip", "bg": "background", "bga": "background_alpha",
    "a": "adjust", "br": "brightness", "co": "contrast", "sa": "saturation", "bl": "blur", "sh": "sharpen", "pix": "pixelate",
    "q": "quality", "f": "format", "ext": "format", "jpgo": "jpeg_options",
}


def is_true(text):
    return text in ("1", "t", "T", "true", "TRUE", "True")


def parse(text):
    """Name to list of arguments. Parts of `resize`, `size` and `adjust` are under their own names."""
    out = {}
    for option in filter(None, text.split("/")):
        name, *args = option.split(":")
        name = ALIASES.get(name, name)
        if name == "resize":
            out["resizing_type"], args, name = args[:1], args[1:], "size"
        if name == "size":
            out["size"] = args[:2]
            if len(args) > 2:
                out["enlarge"] = args[2:3]
            if len(args) > 3:
                out["extend"] = args[3:]
        elif name == "adjust":
            out.update({k: [v] for k, v in zip(("brightness", "contrast", "saturation"), args) if v})
        else:
            out[name] = args
    if "size" not in out and ("width" in out or "height" in out):
        out["size"] = [out.get("width", ["0"])[0], out.get("height", ["0"])[0]]
    return out


def number(options, name, default, at=0):
    args = options.get(name, [])
    return float(args[at]) if len(args) > at and args[at] else default


def color_of(text):
    """RRGGBB or RRGGBBAA."""
    values = bytes.fromhex(text.lstrip("#"))
    return values if len(values) == 4 else values + b"\xff"


def gravity_of(args):
    """(anchor, x, y) of anchor[:x[:y]]."""
    args = [a for a in args] + [""] * 3
    return (args[0] or "ce", float(args[1] or 0), float(args[2] or 0))


# --- sizes and places (specification, 2.7) ---

def rounded(v):
    return math.floor(v + 0.5)


def plan(options, width, height):
    """((sx, sy), box, kept) of resizing: factors, the box asked for, what stays of the scaled picture (None: all)."""
    dpr = number(options, "dpr", 1)
    w, h = (rounded(float(v or 0) * dpr) for v in (options["size"] + ["0", "0"])[:2])
    kind = (options.get("resizing_type") or ["fit"])[0].replace("_", "-") or "fit"
    if kind == "force":
        w, h = w or width, h or height
    else:
        w, h = w or rounded(h * width / height), h or rounded(w * height / width)
    if kind == "auto":
        kind = "fill" if (height > width) == (h > w) else "fit"
    x, y = w / width, h / height
    if kind == "fit":
        x = y = min(x, y)
    elif kind != "force":
        x = y = max(x, y)
    may_grow = is_true((options.get("enlarge") or ["0"])[0])
    if not may_grow and max(x, y) > 1:
        x, y = x / max(x, y), y / max(x, y)
    kept = None
    if kind in ("fill", "fill-down"):
        scaled_w, scaled_h = max(1, rounded(width * x)), max(1, rounded(height * y))
        kept = min(w, scaled_w), min(h, scaled_h)
        if kind == "fill-down" and not may_grow and kept != (w, h):  # the largest window of the box's shape
            part = min(scaled_w / w, scaled_h / h)
            kept = max(1, rounded(w * part)), max(1, rounded(h * part))
    return (x, y), (w, h), kept


def even_down(v):
    return int(v / 2) // 2 * 2


def even_near(v):
    return rounded(v / 2) * 2 if v >= 0 else -rounded(-v / 2) * 2


def place(outer, inner, gravity, dpr=1.0):
    """(left, top) of a window of size `inner` in `outer`."""
    anchor, *offsets = gravity
    out = []
    for axis, (near, far) in enumerate((("we", "ea"), ("no", "so"))):
        o, i, offset = outer[axis], inner[axis], offsets[axis]
        if anchor == "fp":
            at = even_near(o * offset) - i // 2
        else:
            by = even_near(offset * dpr if abs(offset) >= 1 else o * offset)
            at = by if near in anchor else o - i - by if far in anchor else even_down(o - i + 1) + by
        out.append(max(0, min(at, o - i)))
    return tuple(out)


# --- the stages ---

class Reference:
    """Works in a folder of its own; an object belongs to one thread."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def path(self, end=".v"):
        self.count += 1
        return os.path.join(self.folder, "%d%s" % (self.count, end))

    def run(self, *argv, modules=False):
        p = subprocess.run(["vips", *map(str, argv)], env=WITH_MODULES if modules else WITHOUT_MODULES, capture_output=True, text=True)
        if p.returncode:
            raise RuntimeError("vips %s: %s" % (" ".join(map(str, argv)), p.stderr))
        return p.stdout

    def apply(self, operation, picture, *args):
        """The picture that `vips operation IN OUT args` makes, in 8 bit."""
        into, out = self.path(), self.path()
        write_v(into, picture)
        self.run(operation, into, out, *args)
        result = read_v(out)
        os.remove(into)
        os.remove(out)
        return result

    def decode(self, path, modules=False):
        out = self.path()
        self.run("copy", path, out, modules=modules)
        return read_v(out)

    def encode(self, picture, path):
        """By the name's ending, with options as vips takes them: "a.jpg[Q=50]"."""
        into = self.path()
        write_v(into, picture)
        self.run("copy", into, path, modules=".avif" in path)
        os.remove(into)

    def apply_to_floats(self, operation, values, like, *args):
        """(width, height, floats) of what an operation makes of floats."""
        into, out = self.path(), self.path()
        write_v(into, dataclasses.replace(like, pixels=values.tobytes()), FLOAT)
        self.run(operation, into, out, *args)
        result = read_v(out, "f")
        os.remove(into)
        os.remove(out)
        return result.width, result.height, array.array("f", result.pixels)

    def apply_weighed(self, operation, p, *args):
        """The same where neighbours are mixed: colours of pixels that are hardly there must not run into others, so they are multiplied
        by alpha meanwhile."""
        if not p.has_alpha:
            return self.apply(operation, p, *args)
        n = p.bands
        alphas = p.pixels[n - 1::n]
        values = array.array("f", list(p.pixels))
        for band in range(n - 1):
            values[band::n] = array.array("f", [v * a / 255 for v, a in zip(p.pixels[band::n], alphas)])
        width, height, values = self.apply_to_floats(operation, values, p, *args)
        alphas = values[n - 1::n]
        out = bytearray(len(values))
        out[n - 1::n] = bytes(max(0, min(255, int(a))) for a in alphas)
        for band in range(n - 1):
            out[band::n] = bytes(max(0, min(255, int(v * 255 / a))) if a > 0 else 0 for v, a in zip(values[band::n], alphas))
        return Picture(width, height, n, bytes(out))

    def resize(self, p, width, height, kernel):
        if (width, height) == (p.width, p.height):
            return p
        args = (repr(width / p.width), "--vscale", repr(height / p.height), "--kernel", kernel)
        out = self.apply("resize", p, *args) if kernel == "nearest" else self.apply_weighed("resize", p, *args)
        assert (out.width, out.height) == (width, height), (p.width, p.height, width, height, out.width, out.height)
        return out

    def trim(self, p, args):
        threshold, color, equal_h, equal_v = (args + [""] * 4)[:4]
        into = self.path()
        write_v(into, p)
        colors = p.bands - p.has_alpha
        background = list(color_of(color)[:colors]) if color else list(p.pixels[:colors])
        found = self.run("find_trim", into, "--threshold", threshold, "--background", " ".join(map(str, background)))
        left, top, width, height = map(int, found.split())
        if width == 0 or height == 0:
            return p
        if is_true(equal_h):
            left = min(left, p.width - left - width)
            width = p.width - 2 * left
        if is_true(equal_v):
            top = min(top, p.height - top - height)
            height = p.height - 2 * top
        return cut(p, left, top, width, height)

    def background(self, options):
        """What is added around, and what lies beneath: RGBA."""
        color = b"\0\0\0\0"
        args = options.get("background", [""])
        if len(args) == 3:
            color = bytes(map(int, args)) + b"\xff"
        elif args[0]:
            color = color_of(args[0])
        if "background_alpha" in options and any(args):
            color = color[:3] + bytes([rounded(255 * float(options["background_alpha"][0]))])
        return color

    def add_around(self, p, left, top, width, height, options, has_alpha):
        if (width, height) == (p.width, p.height):
            return p
        color = self.background(options)
        if has_alpha and not p.has_alpha and color[3] < 255:
            p = with_bands(p, p.bands + 1)
        if p.bands < 3 and len(set(color[:3])) > 1:
            p = with_bands(p, p.bands + 2)
        fill = {1: color[:1], 2: color[:1] + color[3:], 3: color[:3], 4: color}[p.bands]
        return surround(p, left, top, width, height, fill)

    def crop(self, p, options):
        if "crop" not in options:
            return p
        sides = []
        for at, source in ((0, p.width), (1, p.height)):
            v = number(options, "crop", 0, at)
            v = source if v == 0 else rounded(v * source) if v < 1 else int(v)
            sides.append(max(1, min(v, source)))
        own = options["crop"][2:]
        left, top = place((p.width, p.height), sides, gravity_of(own or options.get("gravity", [])))
        return cut(p, left, top, *sides)

    def resized(self, p, options):
        """Resize, minimums, zoom; and the box that was asked for."""
        kernel = (options.get("resizing_algorithm") or ["lanczos3"])[0]
        dpr, box = number(options, "dpr", 1), None
        if "size" in options and any(float(v or 0) for v in options["size"]):
            (x, y), box, kept = plan(options, p.width, p.height)
            p = self.resize(p, max(1, rounded(p.width * x)), max(1, rounded(p.height * y)), kernel)
            if kept:
                gravity = gravity_of(options.get("gravity", []))
                p = cut(p, *place((p.width, p.height), kept, gravity, dpr), *kept)
        least = max(1, number(options, "min_width", 0) / p.width, number(options, "min_height", 0) / p.height)
        p = self.resize(p, rounded(p.width * least), rounded(p.height * least), kernel)
        x = number(options, "zoom", 1)
        y = number(options, "zoom", x, 1)
        return self.resize(p, max(1, rounded(p.width * x)), max(1, rounded(p.height * y)), kernel), box

    def extended(self, p, options, box, has_alpha):
        dpr = number(options, "dpr", 1)
        for name in ("extend", "extend_aspect_ratio"):
            args = options.get(name, ["0"])
            if not box or not is_true(args[0]):
                continue
            width, height = max(box[0], p.width), max(box[1], p.height)
            if name == "extend_aspect_ratio":
                if options.get("resizing_type") == ["force"]:
                    continue
                width = max(p.width, rounded(p.height * box[0] / box[1]))
                height = max(p.height, rounded(p.width * box[1] / box[0])) if width == p.width else p.height
            left, top = place((width, height), (p.width, p.height), gravity_of(args[1:]), dpr)
            p = self.add_around(p, left, top, width, height, options, has_alpha)
        if "padding" in options:
            sides = [float(v or 0) for v in options["padding"]]
            top, right, bottom, left = {1: sides * 4, 2: sides * 2, 3: sides + sides[1:2], 4: sides}[len(sides)]
            top, right, bottom, left = (rounded(v * dpr) for v in (top, right, bottom, left))
            p = self.add_around(p, left, top, p.width + left + right, p.height + top + bottom, options, has_alpha)
        return p

    def map_colors(self, p, of):
        """Each colour value goes through a function; alpha stays."""
        table = bytes(max(0, min(255, rounded(of(v)))) for v in range(256))
        out = bytearray(p.pixels)
        for band in range(p.bands - p.has_alpha):
            out[band::p.bands] = out[band::p.bands].translate(table)
        return dataclasses.replace(p, pixels=bytes(out))

    def saturated(self, p, amount):
        luma = (0.2126, 0.7152, 0.0722)
        matrix = [[(1 - amount) * luma[j] + (amount if i == j else 0) for j in range(3)] for i in range(3)]
        if p.has_alpha:
            matrix = [r + [0] for r in matrix] + [[0, 0, 0, 1]]
        path = self.path(".mat")
        with open(path, "w") as f:
            f.write("%d %d\n" % (len(matrix), len(matrix)) + "\n".join(" ".join(map(repr, r)) for r in matrix) + "\n")
        _, _, values = self.apply_to_floats("recomb", array.array("f", list(p.pixels)), p, path)
        return dataclasses.replace(p, pixels=bytes(max(0, min(255, rounded(v))) for v in values))

    def effects(self, p, options):
        brightness, contrast = number(options, "brightness", 0), number(options, "contrast", 1)
        if brightness or contrast != 1:
            p = self.map_colors(p, lambda v: (v - 128) * contrast + 128 + brightness)
        if number(options, "saturation", 1) != 1 and p.bands >= 3:
            p = self.saturated(p, number(options, "saturation", 1))
        if "blur" in options:
            p = self.apply_weighed("gaussblur", p, options["blur"][0])
        if "sharpen" in options:
            p = self.apply("sharpen", p, "--sigma", max(0.1, min(10, float(options["sharpen"][0]))))
        block = int(number(options, "pixelate", 0))
        if block > 1:
            small = self.resize(p, max(1, p.width // block), max(1, p.height // block), "nearest")
            p = self.resize(small, p.width, p.height, "nearest")
        return p

    def make(self, source, options, has_alpha, orientation=1):
        """All stages, for a format that has alpha or not; nothing is encoded."""
        p = source
        if is_true((options.get("auto_rotate") or ["1"])[0]):
            p = upright(p, orientation)
        if "trim" in options:
            p = self.trim(p, options["trim"])
        p = self.crop(p, options)
        p, box = self.resized(p, options)
        p = self.extended(p, options, box, has_alpha)
        p = turn(p, int(number(options, "rotate", 0)))
        p = mirror(p, *(is_true(v) for v in (options.get("flip", []) + ["0", "0"])[:2]))
        p = self.effects(p, options)
        if p.has_alpha and not has_alpha:
            color = self.background(options)[:3]
            p = self.apply("flatten", p, "--background", " ".join(map(str, color)))
        return p


# --- comparing ---

def differences(folder, pairs):
    """For each pair of pictures of one size: (mean dE2000 of what is seen on grey, mean difference of alpha). All pairs in four commands."""
    reference = Reference(folder)
    width, out, lengths = 4096, [], []
    stacks = (bytearray(), bytearray())
    for pair in pairs:
        lengths.append(pair[0].width * pair[0].height)
        for stack, p in zip(stacks, pair):
            stack += with_bands(p, 4).pixels
    height = -(-sum(lengths) // width)
    labs = []
    for stack in stacks:
        filled = bytes(stack) + bytes(width * height * 4 - len(stack))
        into, flat, lab = (reference.path() for _ in range(3))
        write_v(into, Picture(width, height, 4, filled))
        reference.run("flatten", into, flat, "--background", "128 128 128")
        reference.run("colourspace", flat, lab, "lab")
        labs.append(lab)
    path = reference.path()
    reference.run("dE00", *labs, path)
    values = array.array("f", read_v(path, "f").pixels)
    at = 0
    for n in lengths:
        alphas = [stack[4 * at + 3:4 * (at + n):4] for stack in stacks]
        out.append((sum(values[at:at + n]) / n, sum(abs(a - b) for a, b in zip(*alphas)) / n))
        at += n
    return out
