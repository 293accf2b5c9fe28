# SPDX-License-Identifier: Apache-2.0
"""imgforge's results against references made with the `vips` command (imgforge_reference.py): every option alone, and random
combinations of them. Sizes and transparency must be what the specification says, colours nearly so, files of lossy formats as large as those
that `vips` writes at that quality.

LIMITS is the mean dE2000 (1 is about the least that an eye sees beside each other). Both sides went through the codec; what differs is
the rounding of stages that are merged, and JPEGs and WebPs that are shrunk while they are decoded."""
import concurrent.futures
import http.client
import os
import random
import re
import struct
import subprocess
import sys

from harness import TOP, Skip, folder, need

sys.path.insert(0, os.path.join(TOP, "scripts"))
import imgforge_reference as ref  # noqa: E402
from imgforge_demo import origin, pictures, stack  # noqa: E402

LIMITS = {"png": 0.8, "tiff": 1.3, "jpg": 1.3, "webp": 1.5, "gif": 1.5, "avif": 1.0}
SIZE_LIMITS = (0.7, 1.4)  # of the file that vips writes; encoders have efforts and tables of their own
ALPHA_LIMIT = 2.5  # mean difference, of 255
HAS_ALPHA = {"png", "webp", "gif", "tiff", "avif"}
KEY, SALT = "11" * 32, "22" * 32
COMBINATIONS = 200

# source, options. The format is the extension behind @; png where there is none.
ALONE = [
    ("photo.jpg", "q:100"),
    ("photo.jpg", "rs:fit:100:100"), ("photo.jpg", "rs:fill:100:100"), ("photo.jpg", "rs:fill-down:300:300"),
    ("photo.jpg", "rs:fill-down:300:100"), ("photo.jpg", "rs:force:100:150"), ("photo.jpg", "rs:force:100:0"),
    ("photo.jpg", "rs:auto:100:60"), ("photo.jpg", "rs:auto:60:100"), ("tall.png", "rs:auto:60:100"), ("photo.jpg", "s:90:90"),
    ("photo.jpg", "rt:fill/s:90:90"), ("photo.jpg", "w:77"), ("photo.jpg", "h:77"), ("photo.jpg", "w:60/h:60"),
    ("photo.jpg", "rs:fit:360:360"), ("photo.jpg", "rs:fit:360:360:1"), ("photo.jpg", "rs:fill:360:100"), ("photo.jpg", "rs:force:480:100"),
    ("photo.jpg", "rs:fill:300:300:1"), ("photo.jpg", "el:1/rs:fit:300:0"),
    ("photo.jpg", "ra:nearest/rs:fit:80:80"), ("photo.jpg", "ra:linear/rs:fit:80:80"), ("photo.jpg", "ra:cubic/rs:fit:80:80"),
    ("photo.jpg", "ra:lanczos2/rs:fit:80:80"), ("photo.jpg", "ra:lanczos3/rs:fit:80:80"),
    ("photo.jpg", "rs:fit:100:100:0:1"), ("photo.jpg", "rs:fit:100:100:0:1:nowe"), ("photo.jpg", "rs:fit:100:100:0:1:so:0:10/bg:ff8000"),
    ("photo.jpg", "rs:fit:100:0/ex:1"), ("photo.jpg", "rs:fit:100:100/exar:1"), ("photo.jpg", "rs:fit:400:400/exar:1:so/bg:0080ff"),
    ("photo.jpg", "rs:force:100:100/exar:1"),
    *(("photo.jpg", "rs:fill:80:100/g:" + g) for g in ("ce", "no", "so", "ea", "we", "noea", "nowe", "soea", "sowe", "ea:10:0", "we:0.2:0",
                                                       "fp:0.2:0.8", "fp:1:1", "ce:-20:0")),
    ("photo.jpg", "c:100:50"), ("photo.jpg", "c:0.5:0.25"), ("photo.jpg", "c:0:40"), ("photo.jpg", "c:100:50:nowe:7:9"),
    ("photo.jpg", "c:100:50:fp:0.9:0.1"), ("photo.jpg", "c:100:50/g:soea"), ("photo.jpg", "c:1000:1000"),
    ("photo.jpg", "dpr:2/rs:fit:60:60"), ("photo.jpg", "dpr:1.5/rs:fill:60:60/g:we:11:0"), ("photo.jpg", "dpr:2/pd:5"),
    ("photo.jpg", "z:0.5"), ("photo.jpg", "z:1.3:0.7"), ("photo.jpg", "z:2/rs:fit:60:60"),
    ("photo.jpg", "mw:300"), ("photo.jpg", "mh:200"), ("photo.jpg", "rs:fit:60:60/mw:90/mh:90"),
    ("photo.jpg", "pd:10"), ("photo.jpg", "pd:10:20"), ("photo.jpg", "pd:1:2:3"), ("photo.jpg", "pd:4:8:12:16/bg:336699"),
    ("photo.jpg", "rot:90"), ("photo.jpg", "rot:180"), ("photo.jpg", "rot:270"), ("photo.jpg", "rot:0"),
    ("photo.jpg", "fl:1"), ("photo.jpg", "fl:0:1"), ("photo.jpg", "fl:1:1"), ("photo.jpg", "rot:90/fl:1"),
    ("bordered.png", "t:10"), ("bordered.png", "t:10:3060c0"), ("bordered.png", "t:10:ff0000"), ("bordered.png", "t:10::1:0"),
    ("bordered.png", "t:10::0:1"), ("flat.png", "t:10"),
    *(("turned%d.jpg" % n, "") for n in range(1, 9)), ("turned6.jpg", "ar:0"), ("turned6.jpg", "rs:fill:60:90"),
    ("photo.jpg", "br:40"), ("photo.jpg", "br:-60"), ("photo.jpg", "co:1.5"), ("photo.jpg", "co:0.5"), ("photo.jpg", "sa:1.8"),
    ("photo.jpg", "sa:0.2"), ("photo.jpg", "a:20:1.2:1.3"), ("cutout.png", "br:40"), ("cutout.png", "sa:0.2"),
    ("photo.jpg", "bl:1"), ("photo.jpg", "bl:4"), ("photo.jpg", "sh:0.5"), ("photo.jpg", "sh:2"), ("photo.jpg", "pix:8"), ("photo.jpg", "pix:1"),
    ("photo.jpg", "pix:13"), ("cutout.png", "bl:3"),
    ("cutout.png", ""), ("cutout.png", "rs:fit:50:50"), ("cutout.png", "@jpg"), ("cutout.png", "bg:ff0000@jpg"), ("cutout.png", "bg:0:128:0@jpg"),
    ("cutout.png", "bg:20406080/pd:10"), ("cutout.png", "bg:204060/bga:0.5/pd:10"), ("cutout.png", "pd:10@jpg"), ("cutout.png", "@webp"),
    ("cutout.png", "@gif"), ("cutout.png", "@tiff"), ("cutout.png", "@avif"),
    ("photo.jpg", "@jpg"), ("photo.jpg", "f:jpeg"), ("photo.jpg", "@webp"), ("photo.jpg", "@gif"), ("photo.jpg", "@tiff"), ("photo.jpg", "@avif"),
    ("photo.jpg", "q:100@tiff"), ("photo.jpg", "rs:fit:99:0@avif"),
    ("photo.png", "rs:fit:99:0"), ("photo.webp", "rs:fit:99:0"), ("photo.tiff", "rs:fit:99:0"), ("photo.gif", "rs:fit:99:0"),
    ("photo.avif", "rs:fit:99:0"), ("deep.png", "rs:fit:99:0"), ("grey.jpg", "rs:fit:99:0"), ("grey.jpg", "pd:9/bg:ff0000"), ("grey.jpg", "br:30"),
    ("cmyk.jpg", "rs:fit:99:0"),
    ("large.jpg", "rs:fit:400:400"), ("large.jpg", "rs:fit:110:110"), ("large.jpg", "rs:fill:60:60"), ("large.webp", "rs:fit:150:0"),
    ("large.jpg", "c:400:300:nowe/rs:fit:120:0"),
]


# --- sources ---

def with_orientation(jpeg, orientation):
    """The JPEG with an EXIF block that says nothing else."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def make_sources(reference, into):
    def path(name):
        return os.path.join(into, name)

    def drawing(name, *args, **more):
        pictures.write(path(name), pictures.scene(*args, **more))
        return reference.decode(path(name))

    photo = drawing("photo.png", 1, 240, 160)
    for name in ("photo.jpg[Q=92]", "photo.webp[Q=92]", "photo.tiff", "photo.gif", "photo.avif[Q=80]"):
        reference.encode(photo, path(name))
    with open(path("photo.jpg"), "rb") as f:
        jpeg = f.read()
    for n in range(1, 9):
        with open(path("turned%d.jpg" % n), "wb") as f:
            f.write(with_orientation(jpeg, n))
    drawing("tall.png", 2, 120, 200)
    drawing("cutout.png", 3, 160, 160, alpha=True)
    blue = (0x30, 0x60, 0xc0)
    reference.encode(ref.surround(photo, 31, 12, 300, 200, blue), path("bordered.png"))
    reference.encode(ref.Picture(60, 40, 3, bytes(blue) * 2400), path("flat.png"))
    large = reference.resize(photo, 960, 640, "cubic")
    reference.encode(large, path("large.jpg[Q=92]"))
    reference.encode(large, path("large.webp[Q=92]"))
    for name, command in (("grey.jpg", ("colourspace", "b-w")), ("cmyk.jpg", ("colourspace", "cmyk")), ("deep.png", ("colourspace", "rgb16"))):
        reference.run(command[0], path("photo.png"), path(name), command[1])


class Sources:
    """The pictures in a folder, decoded at most once each, as sRGB or grey of 8 bit."""

    def __init__(self, reference, folder):
        self.reference, self.folder, self.decoded = reference, folder, {}

    def get(self, name):
        if name not in self.decoded:
            path = os.path.join(self.folder, name)
            if name in ("cmyk.jpg", "deep.png"):
                out = self.reference.path()
                self.reference.run("colourspace", path, out, "srgb")
                self.decoded[name] = ref.read_v(out)
            else:
                self.decoded[name] = self.reference.decode(path, modules=name.endswith("avif"))
        return self.decoded[name]


def orientation_of(name):
    return int(name[6]) if name.startswith("turned") else 1


# --- results ---

class Case:
    def __init__(self, source, text):
        self.source, self.text = source, text
        options, _, extension = text.partition("@")
        self.options = ref.parse(options)
        self.format = extension or {"jpeg": "jpg"}.get((self.options.get("format") or ["png"])[0], "png")
        self.path = "/unsafe/%s" % (options + "/" if options else "")
        self.path += "plain/{origin}/photos/%s" % source + ("@" + (extension or "png") if "format" not in self.options else "")
        self.name = "%s %s" % (source, text)
        self.limit = LIMITS[self.format]
        if "nearest" in self.options.get("resizing_algorithm", []):
            self.limit = 1.5  # JPEGs are shrunk while they are decoded, which is no picking of pixels
        elif orientation_of(source) > 1 and ref.is_true((self.options.get("enlarge") or ["0"])[0]):
            self.limit = 2.0  # imgforge turns what it has enlarged; vips enlarges half a pixel aside, which is another side then

    def expect(self, reference, sources, path):
        """Writes what vips makes of it, in the same format and quality."""
        picture = reference.make(sources.get(self.source), self.options, self.format in HAS_ALPHA, orientation_of(self.source))
        quality = int(ref.number(self.options, "quality", 85))
        is_jpeg_within = quality < 100 and not picture.has_alpha
        how = {"png": "", "gif": "", "tiff": "[compression=jpeg,Q=%d]" if is_jpeg_within else "[compression=lzw]"}.get(self.format, "[Q=%d]")
        reference.encode(picture, path + (how % quality if "%" in how else how))


def ask(port, cases, origin_url, into):
    """Files with the answers, in the order of the cases."""
    def one(numbered):
        n, case = numbered
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        c.request("GET", case.path.format(origin=origin_url))
        answer = c.getresponse()
        body = answer.read()
        c.close()
        assert answer.status == 200, "%s: %d %r" % (case.name, answer.status, body[:200])
        kind = answer.getheader("Content-Type")
        assert kind == "image/" + {"jpg": "jpeg"}.get(case.format, case.format), (case.name, kind)
        path = os.path.join(into, "result%d.%s" % (n, case.format))
        with open(path, "wb") as f:
            f.write(body)
        return path

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, enumerate(cases)))


def decode_all(reference, paths):
    """Pictures of many files with few commands: files alike are joined to one column, and cut apart again."""
    out, groups = {}, {}
    listing = subprocess.run(["vipsheader", *paths], env=ref.WITH_MODULES, capture_output=True, text=True, check=True).stdout
    for path, line in zip(paths, listing.splitlines()):
        found = re.match(r"(.*): (\d+)x(\d+) (\w+), (\d) bands?, ([\w-]+)", line)
        assert found and found[1] == path and found[4] == "uchar", line
        groups.setdefault((path.rsplit(".", 1)[1], found[5], found[6]), []).append((path, int(found[2]), int(found[3])))
    for (kind, bands, _), members in groups.items():
        for some in (members[i:i + 50] for i in range(0, len(members), 50)):
            width, height = max(m[1] for m in some), max(m[2] for m in some)
            joined = reference.path()
            reference.run("arrayjoin", " ".join(m[0] for m in some), joined, "--across", "1", "--hspacing", width, "--vspacing", height,
                          modules=kind == "avif")
            column = ref.read_v(joined)
            for i, (path, w, h) in enumerate(some):
                out[path] = ref.cut(column, 0, i * height, w, h)
    return [out[p] for p in paths]


def bands_differ(case, got, expected):
    """PNG and TIFF keep what there is; others have bands of their own, and leave out alpha that is opaque."""
    if case.format in ("png", "tiff"):
        return got.bands != expected.bands
    return got.has_alpha and not expected.has_alpha


def compare(cases):
    """Lines about the cases whose results are not what they should be."""
    need("vips")
    if not os.path.exists(stack.IMGFORGE):
        raise Skip("imgforge is not built")
    with folder() as work:
        photos, scratch = os.path.join(work, "photos"), os.path.join(work, "scratch")
        os.mkdir(photos)
        os.mkdir(scratch)
        reference = ref.Reference(scratch)
        make_sources(reference, photos)
        sources = Sources(reference, photos)
        for name in {c.source for c in cases}:
            sources.get(name)

        def expect(numbered):
            n, case = numbered
            own, path = os.path.join(scratch, "case%d" % n), os.path.join(work, "expected%d.%s" % (n, case.format))
            os.mkdir(own)
            case.expect(ref.Reference(own), sources, path)
            return path

        with origin.Origin(photos) as source, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            with stack.imgforge(work, stack.free_port(), stack.free_port(), KEY, SALT, allow_unsigned="true") as server:
                paths = ask(server.port, cases, source.url, work)
            expected = list(pool.map(expect, enumerate(cases)))
        return judge(reference, cases, paths, expected)


def judge(reference, cases, paths, expected):
    wrong, pairs, compared = [], [], []
    for case, path, other in zip(cases, paths, expected):
        ratio = os.path.getsize(path) / os.path.getsize(other)
        if case.format in ("jpg", "webp", "avif") and not SIZE_LIMITS[0] <= ratio <= SIZE_LIMITS[1]:
            wrong.append("%s: %d bytes are %.2f of what vips writes" % (case.name, os.path.getsize(path), ratio))
    for case, got, want in zip(cases, decode_all(reference, paths), decode_all(reference, expected)):
        if (got.width, got.height) != (want.width, want.height):
            wrong.append("%s: is %d x %d, expected %d x %d" % (case.name, got.width, got.height, want.width, want.height))
            continue
        if bands_differ(case, got, want):
            wrong.append("%s: has %d bands, expected %d" % (case.name, got.bands, want.bands))
        pairs.append((got, want))
        compared.append(case)
    for case, (color, alpha) in zip(compared, ref.differences(reference.folder, pairs)):
        if color > case.limit or alpha > ALPHA_LIMIT:
            wrong.append("%s: mean dE2000 %.2f (at most %.1f), alpha differs by %.1f" % (case.name, color, case.limit, alpha))
    return wrong


# --- combinations ---

def combination(rng):
    """A case of a few options that do not shrink the picture to nothing or blow it up."""
    def maybe(part):
        return rng.random() < part

    source = rng.choice(["photo.jpg", "tall.png", "cutout.png", "large.jpg", "turned6.jpg", "turned3.jpg", "bordered.png", "grey.jpg", "photo.webp"])
    anchor = rng.choice(["ce", "no", "so", "ea", "we", "noea", "nowe", "soea", "sowe", "ea:8:4", "nowe:0.1:0.1", "fp:0.3:0.6"])
    out = []
    if maybe(0.25) and source == "bordered.png":
        out.append("t:%d" % rng.choice([5, 20]))
    if maybe(0.3):
        out.append("c:%s:%s%s" % (rng.choice(["0", "0.6", "90", "110"]), rng.choice(["0", "0.7", "80", "100"]), rng.choice(["", ":" + anchor])))
    if maybe(0.8):
        size = (rng.choice([0, 60, 90, 130]), rng.choice([70, 100, 150]))
        out.append("rs:%s:%d:%d%s" % (rng.choice(["fit", "fill", "fill-down", "force", "auto"]), *size,
                                      rng.choice(["", ":1", ":0:1", ":1:1:" + anchor.split(":")[0] if anchor[:2] != "fp" else ":1:1"])))
        if maybe(0.15):
            out.append("exar:1")
    if maybe(0.3):
        out.append("g:" + anchor)
    for part, choices in ((0.15, ["dpr:1.5", "dpr:2"]), (0.1, ["mw:120", "mh:140", "mw:100/mh:100"]), (0.1, ["z:0.8", "z:1.2:0.9"]),
                          (0.25, ["pd:7", "pd:3:9", "pd:1:2:3:4"]), (0.3, ["rot:90", "rot:180", "rot:270"]), (0.25, ["fl:1", "fl:0:1", "fl:1:1"]),
                          (0.3, ["bg:ff8800", "bg:10:200:90", "bg:336699/bga:0.5"]), (0.2, ["br:25", "br:-30"]), (0.2, ["co:1.3", "co:0.7"]),
                          (0.2, ["sa:1.5", "sa:0.4"]), (0.15, ["bl:0.8", "bl:2.5"]), (0.15, ["sh:0.7", "sh:1.5"]), (0.1, ["pix:6", "pix:10"]),
                          (0.1, ["ra:linear", "ra:cubic", "ra:lanczos2"]), (0.2, ["q:90", "q:95"])):
        if maybe(part):
            out.append(rng.choice(choices))
    rng.shuffle(out)
    extension = rng.choice(["", "", "", "@jpg", "@jpg", "@webp", "@tiff"])
    return Case(source, "/".join(out) + extension)


# --- tests ---

def test_every_option_alone_gives_what_vips_gives():
    wrong = compare([Case(*row) for row in ALONE])
    assert not wrong, "%d of %d differ:\n%s" % (len(wrong), len(ALONE), "\n".join(wrong))


def test_combinations_of_options_give_what_vips_gives():
    rng = random.Random(20240611)
    cases = [combination(rng) for _ in range(COMBINATIONS)]
    wrong = compare(cases)
    assert not wrong, "%d of %d differ:\n%s" % (len(wrong), len(cases), "\n".join(wrong))
