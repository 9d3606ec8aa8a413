#!/usr/bin/env python3
"""Writes the golden images of tests/unit/test_decode.c and test_patch.c. The expected pixels come from Pillow, the sizes from
transformers' own smart_resize, so neither is this project's opinion:
    pip install pillow==13.0.0 numpy && python3 tests/golden/image/make.py images
    pip install torch transformers && python3 tests/golden/image/make.py sizes
Pillow from 13 on goes down first where the height loses more than twice what the width does; all before it went across
first always. The difference is a level or two on pictures, up to 17 on noise; the runtime follows the current one, since
that is what the published image processor computes with today.
NAME.png or NAME.jpg is an input, NAME.rgb what Pillow's convert("RGB") makes of it (u32 height, u32 width, bytes).
PNG variants that Pillow cannot write (interlaced, 16-bit, many IDATs) are written here with zlib."""
import io
import os
import random
import struct
import sys
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
W, H = 19, 13


def put(name, data):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data)


def noise(h, w, channels, seed):
    """The test makes the same bytes: a 32-bit LCG, its bits 24..31."""
    out, x = bytearray(), seed
    for _ in range(h * w * channels):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(x >> 24)
    return np.frombuffer(bytes(out), np.uint8).reshape(h, w, channels)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, interlace=0, idat=None, extra=b"", tail=b""):
    """rows: bytes of filtered rows (filter byte first)."""
    packed = zlib.compress(rows, 9)
    pieces = [packed] if not idat else [packed[i:i + idat] for i in range(0, len(packed), idat)]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)) + extra
            + b"".join(chunk(b"IDAT", p) for p in pieces) + tail + chunk(b"IEND", b""))


def plain_rows(array):
    return b"".join(b"\0" + row.tobytes() for row in array)


def adam7_rows(array):
    out = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        part = array[y0::dy, x0::dx]
        if part.size:
            out += plain_rows(np.ascontiguousarray(part))
    return out


def golden(name, data):
    put(name, data)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    put(name.rsplit(".", 1)[0] + ".rgb", struct.pack("<II", image.height, image.width) + image.tobytes())


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pngs():
    rgb, rgba, grey = noise(H, W, 3, 1), noise(H, W, 4, 2), noise(H, W, 1, 3)[:, :, 0]
    golden("rgb.png", saved(Image.fromarray(rgb), "PNG"))
    golden("rgba.png", saved(Image.fromarray(rgba), "PNG"))
    golden("grey.png", saved(Image.fromarray(grey), "PNG"))
    golden("grey1.png", saved(Image.fromarray(grey).convert("1"), "PNG"))
    golden("grey4.png", png(W, H, 4, 0, plain_rows(np.packbits(np.unpackbits((grey & 0xF0)[:, :, None], axis=2)[:, :, :4].reshape(H, -1), axis=1))))
    golden("grey_alpha.png", saved(Image.fromarray(rgba[:, :, :2].copy(), "LA"), "PNG"))
    palette = Image.fromarray(rgb).quantize(16)
    golden("palette.png", saved(palette, "PNG"))
    golden("palette_alpha.png", saved(palette, "PNG", transparency=bytes(range(0, 160, 10))))
    golden("many_idats.png", png(W, H, 8, 2, plain_rows(rgb), idat=7))
    golden("interlaced.png", png(W, H, 8, 2, adam7_rows(rgb), interlace=1))
    golden("interlaced_rgba.png", png(W, H, 8, 6, adam7_rows(rgba), interlace=1, idat=50))
    profile = b"phone\0\0" + zlib.compress(bytes(range(256)) * 2)
    golden("profile.png", png(W, H, 8, 6, plain_rows(rgba), idat=99, extra=chunk(b"iCCP", profile), tail=chunk(b"tEXt", b"a\0b")))
    deep = np.stack([rgb, rgb[::-1, ::-1]], axis=3)  # high byte, low byte
    golden("rgb16.png", png(W, H, 16, 2, plain_rows(deep)))
    golden("one.png", saved(Image.fromarray(rgb[:1, :1]), "PNG"))
    bomb = plain_rows(rgb) + bytes(4 << 20)
    golden("more_than_pixels.png", png(W, H, 8, 2, bomb))
    put("wide_claim.png", png(60000, 60000, 8, 2, b"\0" * 100))


def jpegs():
    y, x = np.mgrid[0:45, 0:70]
    smooth = np.stack([(x * 3) % 256, (y * 5) % 256, (x + y) * 2 % 256], axis=2).astype(np.uint8)
    image = Image.fromarray(smooth)
    golden("baseline.jpg", saved(image, "JPEG", quality=90))
    golden("progressive.jpg", saved(image, "JPEG", quality=85, progressive=True))
    golden("full_chroma.jpg", saved(image, "JPEG", quality=90, subsampling=0))
    golden("grey_jpeg.jpg", saved(image.convert("L"), "JPEG", quality=90))
    put("cmyk.jpg", saved(image.convert("CMYK"), "JPEG", quality=80))


RESIZES = [(13, 17, 29, 31), (97, 61, 40, 23), (50, 1, 56, 28), (20, 30, 20, 44), (20, 30, 33, 30), (7, 5, 7, 5), (200, 3, 28, 28), (64, 64, 28, 28),
           (30, 40, 28, 56)]


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def resizes():
    lines = ["# seed of the noise, height, width, new height, new width, FNV-1a 64 of Pillow's bytes (bicubic)"]
    stored = b""
    for seed, (h, w, to_h, to_w) in enumerate(RESIZES, 100):
        out = Image.fromarray(noise(h, w, 3, seed)).resize((to_w, to_h), Image.BICUBIC).tobytes()
        lines.append("%d %d %d %d %d %016x" % (seed, h, w, to_h, to_w, fnv(out)))
        stored += struct.pack("<IIII", h, w, to_h, to_w) + out
    for seed, h, w, to_h, to_w in ((200, 2400, 1080, 2408, 1092), (201, 2688, 1216, 2324, 1036)):
        out = Image.fromarray(noise(h, w, 3, seed)).resize((to_w, to_h), Image.BICUBIC).tobytes()
        lines.append("%d %d %d %d %d %016x" % (seed, h, w, to_h, to_w, fnv(out)))
    put("resize.txt", ("\n".join(lines) + "\n").encode())
    put("resize.bin", stored)


def sizes():
    from transformers.models.glm4v.image_processing_pil_glm4v import smart_resize
    rng = random.Random(5)
    lines = ["# height, width, shortest_edge, longest_edge, resized height and width (0 0: refused)"]
    fixed = [(2400, 1080), (2688, 1216), (3200, 1440), (2340, 1080), (1920, 1080), (1600, 720), (20, 20), (27, 500), (28, 5600), (28, 5601), (5600, 28),
             (1, 1), (1, 200), (1, 201), (14, 14), (4096, 4096), (16384, 16384), (16384, 90)]
    cases = [(h, w, 12544, hi) for h, w in fixed for hi in (9633792, 5000000)]
    cases += [(rng.randint(1, 4000), rng.randint(1, 4000), rng.choice((12544, 3136, 50176)), rng.choice((9633792, 5000000, 1 << 20))) for _ in range(120)]
    cases += [(rng.randint(1, 120), rng.randint(1, 120), 12544, 9633792) for _ in range(80)]
    for h, w, lo, hi in cases:
        try:
            to_h, to_w = smart_resize(num_frames=2, height=h, width=w, temporal_factor=2, factor=28, min_pixels=lo, max_pixels=hi)
        except ValueError:
            to_h = to_w = 0
        lines.append("%d %d %d %d %d %d" % (h, w, lo, hi, to_h, to_w))
    put("sizes.txt", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    if sys.argv[1:] == ["sizes"]:
        sizes()
    else:
        pngs()
        jpegs()
        resizes()
    print("pillow %s, numpy %s, python %s" % (Image.__version__, np.__version__, sys.version.split()[0]))
