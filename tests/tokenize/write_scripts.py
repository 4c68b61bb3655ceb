#!/usr/bin/env python3
"""Writes lathe/tokenize/scripts.cpp: which characters Hugging Face's UnicodeScripts keeps together, found by giving it every
code point. Usage: build/peers/bin/python tests/tokenize/write_scripts.py"""
import os

from tokenizers import pre_tokenizers

SPLITTER = pre_tokenizers.UnicodeScripts()


def together(first, second):
    return len(SPLITTER.pre_tokenize_str(first + second)) == 1


def scripts():
    """The number of each code point's script: 0 where it goes with any."""
    samples, last = ["a", "\u044f"], 1
    for code in range(0x110000):
        if 0xD800 <= code <= 0xDFFF:
            continue
        character = chr(code)
        if together("a", character) and together("\u044f", character):
            continue
        order = [last] + [number for number in range(1, len(samples) + 1) if number != last]
        found = next((number for number in order if together(samples[number - 1], character)), None)
        if found is None:
            samples.append(character)
            found = len(samples)
        last = found
        yield code, found


def ranges():
    found = []
    for code, script in scripts():
        if found and found[-1][1] == code - 1 and found[-1][2] == script:
            found[-1][1] = code
        else:
            found.append([code, code, script])
    return found


def main():
    path = os.path.join(os.path.dirname(__file__), "..", "..", "lathe", "tokenize", "scripts.cpp")
    cells = ", ".join(f"{{{first:#x}, {last:#x}, {script}}}" for first, last, script in ranges())
    with open(path, "w") as out:
        out.write("// Written by tests/tokenize/write_scripts.py; do not edit.\n"
                  '#include "lathe/tokenize/scripts.h"\n\nnamespace lathe::tokenize {\n\n'
                  f"const ScriptRange kScripts[] = {{{cells}}};\n"
                  "const size_t kScriptsCount = sizeof(kScripts) / sizeof(kScripts[0]);\n\n"
                  "}  // namespace lathe::tokenize\n")


main()
