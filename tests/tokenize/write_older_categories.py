#!/usr/bin/env python3
"""Writes lathe/tokenize/older_categories.cpp: what Hugging Face's tokenizers take for punctuation, marks and control
characters, found by giving them every code point. Usage: build/peers/bin/python tests/tokenize/write_older_categories.py"""
import ctypes
import os

from tokenizers import normalizers, pre_tokenizers

CODES = [code for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]


def removed(normalizer):
    return [code for code in CODES if normalizer.normalize_str(f"a{chr(code)}b") == "ab"]


def bert(**flags):
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    return normalizers.BertNormalizer(**{name: flags.get(name, False) for name in names})


def punctuation():
    splitter = pre_tokenizers.Punctuation()
    return [code for code in CODES if len(splitter.pre_tokenize_str(f"a{chr(code)}b")) == 3]


def undecomposed():
    """Characters that utf8proc decomposes and the peer does not: their decompositions are younger than its tables."""
    library = ctypes.CDLL("libutf8proc.so.2")
    forms = []
    for name in ("NFD", "NFKD"):
        form = getattr(library, f"utf8proc_{name}")
        form.restype = ctypes.c_char_p
        forms.append((form, getattr(normalizers, name)()))
    return [code for code in CODES
            if any(ours(chr(code).encode()) != chr(code).encode() and theirs.normalize_str(chr(code)) == chr(code)
                   for ours, theirs in forms)]


def ranges(codes):
    found = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def table(name, codes):
    cells = ", ".join(f"{{{first:#x}, {last:#x}}}" for first, last in ranges(codes))
    return (f"const CodepointRange {name}[] = {{{cells}}};\n"
            f"const size_t {name}Count = sizeof({name}) / sizeof({name}[0]);\n\n")


def main():
    path = os.path.join(os.path.dirname(__file__), "..", "..", "lathe", "tokenize", "older_categories.cpp")
    with open(path, "w") as out:
        out.write("// Written by tests/tokenize/write_older_categories.py; do not edit.\n"
                  '#include "lathe/tokenize/older_categories.h"\n\nnamespace lathe::tokenize {\n\n')
        out.write(table("kPunctuation", punctuation()))
        out.write(table("kControls", removed(bert(clean_text=True))))
        out.write(table("kNonspacingMarks", removed(bert(strip_accents=True))))
        out.write(table("kMarks", removed(normalizers.StripAccents())))
        out.write(table("kUndecomposed", undecomposed()))
        out.write("}  // namespace lathe::tokenize\n")


main()
