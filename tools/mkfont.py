#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes src/slate/font.c from console fonts (PSF, gzipped or not) of one family.

    tools/mkfont.py spleen-8x16.psfu.gz spleen-32x64.psfu.gz > src/slate/font.c

The fonts are in Debian's package fonts-spleen, under /usr/share/consolefonts. Printable ASCII is
taken; each row of a glyph becomes one 32-bit number whose highest bit is the leftmost pixel.

Two changes: the zero loses its slash, which text recognition takes for an 8 or a 9, and the large
font gets strokes of 5 pixels instead of 4, because it is mostly shown smaller than it is.
"""
import gzip
import struct
import sys

FIRST, LAST = 32, 126

HEAD = """\
// SPDX-License-Identifier: GPL-3.0-or-later AND BSD-2-Clause
/*
 * Made by tools/mkfont.py: do not edit. The pictures of printable ASCII, from the Spleen fonts
 * (changed: a zero without a slash, bolder):
 *
 * Copyright (c) 2018-2021, Frederic Cambus
 * https://github.com/fcambus/spleen
 *
 * All rights reserved.
 *
 * Redistribution and use in source and binary forms, with or without
 * modification, are permitted provided that the following conditions are met:
 *
 *   * Redistributions of source code must retain the above copyright
 *     notice, this list of conditions and the following disclaimer.
 *
 *   * Redistributions in binary form must reproduce the above copyright
 *     notice, this list of conditions and the following disclaimer in the
 *     documentation and/or other materials provided with the distribution.
 *
 * THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
 * AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
 * IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE
 * ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS
 * BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR
 * CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF
 * SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
 * INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN
 * CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE)
 * ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE
 * POSSIBILITY OF SUCH DAMAGE.
 */
#include "slate/font.h"
"""


def parse(path):
    """Returns width, height, bytes for each glyph, and where each character's glyph is."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x36\x04":  # PSF1: 8 pixels wide, a table of UTF-16
        count, size = 512 if data[2] & 1 else 256, data[3]
        end = 4 + count * size
        words = struct.unpack(f"<{(len(data) - end) // 2}H", data[end:])
        table = "".join(map(chr, words)).split("\uffff")
        return 8, size, data[4:end], size, table
    magic, _, offset, flags, count, size, height, width = struct.unpack_from("<8I", data)
    if magic != 0x864AB572 or not flags & 1 or width > 32:
        sys.exit(f"{path}: not a console font with a table of characters, up to 32 pixels wide")
    end = offset + count * size
    table = [entry.decode("utf-8", "replace") for entry in data[end:].split(b"\xff")]
    return width, height, data[offset:end], size, table


def load(path):
    width, height, data, size, table = parse(path)
    pitch = (width + 7) // 8
    glyphs = []
    for code in range(FIRST, LAST + 1):
        start = size * next(i for i, entry in enumerate(table) if chr(code) in entry)
        rows = [data[start + y * pitch : start + (y + 1) * pitch] for y in range(height)]
        glyphs.append([int.from_bytes(row.ljust(4, b"\0"), "big") for row in rows])
    glyphs[ord("0") - FIRST] = glyphs[ord("O") - FIRST]
    return width, height, glyphs


def embolden(rows):
    wide = [row | row >> 1 for row in rows]
    return [row | above for row, above in zip(wide, [0] + wide)]


def number(value):
    return "0" if value == 0 else f"{value:#x}"


def emit(name, path, change=list):
    width, height, glyphs = load(path)
    glyphs = [change(rows) for rows in glyphs]
    print(f"\n/* {width}x{height} */\n/* clang-format off */")
    print(f"static const uint32_t {name}_rows[FONT_GLYPHS * {height}] = {{")
    for code, rows in zip(range(FIRST, LAST + 1), glyphs):
        label = "backslash" if code == 92 else f"'{chr(code)}'"
        line = f"\t/* {label} */"
        for row in rows:
            word = f" {number(row)},"
            if len(line.expandtabs(8)) + len(word) > 100:
                print(line)
                line = "\t" + word.lstrip()
                continue
            line += word
        print(line)
    print("};\n/* clang-format on */\n")
    print(f"const struct font {name} = {{ {width}, {height}, {name}_rows }};")


if len(sys.argv) != 3:
    sys.exit(__doc__)
print(HEAD, end="")
emit("font_small", sys.argv[1])
emit("font_large", sys.argv[2], embolden)
