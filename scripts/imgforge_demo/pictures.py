# SPDX-License-Identifier: Apache-2.0
"""Pictures that look enough like photographs (large shapes, finer and finer detail, some noise) that codecs work as hard as on real ones.

Drawn here as small PNGs; imgforge itself makes all sizes and formats of them, so nothing else is needed."""
import os
import random
import struct
import urllib.request
import zlib

PALETTES = (  # low, middle, high: sky over land, evening, forest, skin and cloth
    ((40, 60, 30), (120, 140, 110), (150, 190, 240)),
    ((20, 10, 40), (160, 60, 70), (255, 200, 120)),
    ((10, 30, 20), (60, 100, 50), (190, 210, 150)),
    ((70, 40, 50), (190, 140, 120), (240, 225, 215)),
)
SIZES = ((320, 213), (640, 427), (1280, 853), (2048, 1365))
FORMATS = ("jpg", "png", "webp", "gif", "tiff", "avif")


def field(rng, width, height, steps=6):
    """Rows of numbers of about 0 to 1: a coarse grid, doubled again and again with less and less added."""
    rows = [[rng.random() for _ in range((width >> steps) + 3)] for _ in range((height >> steps) + 3)]
    spread = 0.35
    for _ in range(steps):
        wide = []
        for row in rows:
            line = []
            for a, b in zip(row, row[1:]):
                line += [a, (a + b) / 2 + (rng.random() - 0.5) * spread]
            wide.append(line)
        rows = []
        for above, below in zip(wide, wide[1:]):
            rows += [above, [(a + b) / 2 + (rng.random() - 0.5) * spread for a, b in zip(above, below)]]
        spread *= 0.55
    return [row[:width] for row in rows[:height]]


def mix(a, b, part):
    return a + (b - a) * part


def png(width, height, bands, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[bands], 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + r for r in rows), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def scene(seed, width=480, height=320, alpha=False):
    """A PNG. With alpha: a disc of the picture on nothing, its edge soft."""
    rng = random.Random(seed)
    low, middle, high = PALETTES[seed % len(PALETTES)]
    shape, detail = field(rng, width, height), field(rng, width, height, 3)
    rows = []
    for y in range(height):
        line = bytearray()
        for x in range(width):
            v = min(1.0, max(0.0, 0.75 * shape[y][x] + 0.25 * detail[y][x] + 0.15 * (0.5 - y / height)))
            a, b, part = (low, middle, 2 * v) if v < 0.5 else (middle, high, 2 * v - 1)
            line += bytes(int(mix(a[i], b[i], part)) for i in range(3))
            if alpha:
                away = ((x - width / 2) ** 2 + (y - height / 2) ** 2) ** 0.5 / (height / 2)
                line.append(max(0, min(255, int((0.95 - away) * 1200))))
        rows.append(bytes(line))
    return png(width, height, 4 if alpha else 3, rows)


def names():
    """What an origin has when all is made."""
    photos = ["scene%d-%dx%d.%s" % (s, w, h, FORMATS[(s + i) % len(FORMATS)])
              for s in range(4) for i, (w, h) in enumerate(SIZES)]
    return photos + ["photo%d.jpg" % s for s in range(4)] + ["cutout.png", "cutout.webp"]


def draw(folder):
    """The four scenes and the cut-out that all others are made of. Nothing is drawn twice."""
    os.makedirs(folder, exist_ok=True)
    for seed in range(4):
        path = os.path.join(folder, "scene%d.png" % seed)
        if not os.path.exists(path):
            write(path, scene(seed))
    path = os.path.join(folder, "cutout.png")
    if not os.path.exists(path):
        write(path, scene(4, 320, 320, alpha=True))


def write(path, data):
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.replace(path + ".part", path)


def develop(folder, imgforge, origin):
    """Has imgforge (its URL) make what names() lists, from the drawings that the origin (its URL) serves."""
    for name in names():
        path = os.path.join(folder, name)
        if os.path.exists(path):
            continue
        stem, ending = name.rsplit(".", 1)
        if stem.startswith("scene"):
            drawing, size = stem.split("-")
            options = "rs:force:%s:%s:1/q:88" % tuple(size.split("x"))
        else:
            drawing = stem.replace("photo", "scene")
            options = "rs:force:960:640:1/q:90" if stem.startswith("photo") else "q:90"
        url = "%s/unsafe/%s/plain/%s/photos/%s.png@%s" % (imgforge, options, origin, drawing, ending)
        with urllib.request.urlopen(url, timeout=60) as answer:
            write(path, answer.read())
