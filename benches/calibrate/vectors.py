#!/usr/bin/env python3
"""Writes tests/vectors/tokens.json (short samples of every script and kind, exact counts) and dev_o200k.json.

usage: vectors.py --ranks o200k_base.json --packages DIR --out CORPUS_OUT --vectors tests/vectors
"""
import argparse, base64, glob, html, json, os, random, re, shutil

from corpus import SCRIPTS, TAG, load_encoding, read, script_of

p = argparse.ArgumentParser()
for name in ("ranks", "packages", "out", "vectors"):
    p.add_argument("--" + name, required=True)
a = p.parse_args()
enc, _ = load_encoding(a.ranks)
count = lambda t: len(enc.encode_ordinary(t))
samples, seen = [], {}
WANTED = {"udhr_eng": 1, "udhr_deu": 1}
# One language per script, a common one where there are several.
COMMON = ["eng", "deu_1996", "fra", "pol", "tur", "vie", "rus", "ukr", "ell_monotonic", "arb", "pes_1", "heb", "hin", "ben", "pan", "guj", "tam", "tel", "kan",
          "mal", "sin", "tha", "lao", "khm", "mya", "bod", "kat", "hye", "amh", "chr_uppercase", "cmn_hans", "cmn_hant", "jpn", "kor", "swh", "tir", "div", "mon", "khk"]
for path in sorted(glob.glob(a.packages + "/udhr*/package/declaration/*.html")):
    code = os.path.basename(path)[:-5].replace("udhr_", "")
    if code in COMMON:
        text = re.sub(r"\s*\n\s*", "\n", html.unescape(TAG.sub("", read(path, 200000)))).strip()
        middle = len(text) // 3
        samples.append(["script", "%s (%s)" % (code, script_of(text)), text[middle:middle + 420]])
r = random.Random(11)
pick = lambda alphabet, n: "".join(r.choice(alphabet) for _ in range(n))
low = "abcdefghijklmnopqrstuvwxyz"
for name, text in [("hex", pick("0123456789abcdef", 500)), ("base64", base64.b64encode(r.randbytes(330)).decode()),
                   ("uuid", "\n".join("-".join(pick("0123456789abcdef", n) for n in (8, 4, 4, 4, 12)) for _ in range(10))),
                   ("random lower case", pick(low, 450)), ("random upper case", pick(low.upper(), 450)),
                   ("random mixed case", pick(low + low.upper(), 450)), ("random words", " ".join(pick(low, r.randint(2, 12)) for _ in range(70))),
                   ("digits", pick("0123456789", 700)), ("emoji", pick(["😀", "👩‍👩‍👧‍👦", "🇩🇪", "🏳️‍🌈", "👍🏽", "❤️", "🦀", "🎉"], 70)),
                   ("combining marks", "".join(r.choice(low) + chr(r.randrange(0x300, 0x370)) for _ in range(130))),
                   ("control characters", "".join(chr(r.randrange(1, 9)) for _ in range(250))), ("replacement characters", "\ufffdab" * 120),
                   ("astral planes", "".join(chr(r.randrange(0x10000, 0x1F000)) for _ in range(80)))]:
    samples.append(["noise", name, text])
plain = ["", "a", " ", "\n", "Hello, world!", "The quick brown fox jumps over the lazy dog.", '{"name":"Ada","tags":["x","y"],"n":12345}',
         "fn main() { println!(\"hi\"); }", "I don't think we'll see it's over.", "HTTPServer getUserById user_name MAX_VALUE",
         "2024-05-15T15:00:00Z", "=====", "    return x\n", "https://example.com/a/b?c=d&e=1", "你好，世界", "こんにちは世界", "안녕하세요 세계", "Привет, мир!", "مرحبا بالعالم", "😀"]
json.dump({"plain": [[t, count(t)] for t in plain], "samples": [[k, n, t, count(t)] for k, n, t in samples]},
          open(os.path.join(a.vectors, "tokens.json"), "w"), ensure_ascii=False, indent=0)
shutil.copy(os.path.join(a.out, "dev_o200k.json"), os.path.join(a.vectors, "dev_o200k.json"))
print(len(samples), "samples")
