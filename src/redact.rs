//! Redaction: secrets leave no trace in what a summarizer is sent.
//!
//! zeph replaces its prefixes wherever they occur, in the middle of `task-runner` too, and nothing else (B-22). Here a
//! secret has to begin where a word begins, to be as long as secrets of its kind are, and to look like one; what is
//! assigned to a name such as `password` is a secret too. One pass over the bytes, looking back and ahead a bounded way.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::order::sorted_by;

/// What is taken out of texts before a summarizer sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Redaction {
    /// Keys, tokens and passwords, recognised by their form or by the name that they are assigned to. On.
    pub secrets: bool,
    /// Absolute paths into home and temporary folders. Off: summaries need the names of files (zeph: always on, B-22).
    pub paths: bool,
    /// Exactly these strings, whatever they are part of.
    pub literals: Vec<String>,
}

impl Default for Redaction {
    fn default() -> Self {
        Self { secrets: true, paths: false, literals: Vec::new() }
    }
}

impl Redaction {
    /// The text without what is to be taken out; borrowed when nothing was found.
    pub(crate) fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = literals(text, &self.literals).map_or(Cow::Borrowed(text), Cow::Owned);
        for (wanted, rule) in [(self.secrets, secrets as fn(&str) -> Option<String>), (self.paths, paths)] {
            if wanted && let Some(redacted) = rule(&out) {
                out = Cow::Owned(redacted);
            }
        }
        out
    }
}

/// Stands for a secret.
const REDACTED: &str = "[REDACTED]";

/// Stands for a path.
const PATH: &str = "[PATH]";

/// The text with `[REDACTED]` in place of each secret. `None` when there is none.
pub(crate) fn secrets(text: &str) -> Option<String> {
    replaced(text, REDACTED, |text, at| {
        let byte = *text.get(at)?;
        match byte {
            b'-' => private_key(text, at).or_else(|| option_value(text, at)),
            b':' => password_in_url(text, at).or_else(|| assigned(text, at)),
            b'=' => assigned(text, at),
            b'>' => element(text, at),
            byte if byte.is_ascii_alphanumeric() && starts_word(text, at) => {
                known_token(text, at).or_else(|| credentials(text, at))
            }
            _ => None,
        }
    })
}

/// The text with `[PATH]` in place of each absolute path into a home or temporary folder. `None` when there is none.
pub(crate) fn paths(text: &str) -> Option<String> {
    replaced(text, PATH, |text, at| {
        // A Windows path begins with the letter of a drive.
        let root = match text.get(at)? {
            b'/' if begins_path(text, at) => {
                ROOTS.iter().map(|root| root.as_bytes()).find(|root| begins(text, at, root))?.len()
            }
            b'a'..=b'z' | b'A'..=b'Z' if starts_word(text, at) => {
                WINDOWS.iter().map(|root| root.as_bytes()).find(|root| begins(text, at + 1, root))?.len() + 1
            }
            _ => return None,
        };
        let end = run(text, at + root, |byte| !byte.is_ascii_whitespace() && !b"\"'`,;:()[]{}<>|".contains(&byte));
        // A full stop ends the sentence, not the path.
        let end = if text.get(end - 1) == Some(&b'.') { end - 1 } else { end };
        (end > at + root).then_some((at, end))
    })
}

/// Where zeph sees private paths.
const ROOTS: &[&str] = &["/home/", "/Users/", "/root/", "/tmp/", "/var/"];
const WINDOWS: &[&str] = &[":\\\\Users\\\\", ":\\Users\\", ":/Users/"];

/// Whether a slash is the first one of a path, and not inside of another path or an address.
fn begins_path(text: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).and_then(|at| text.get(at)) else { return true };
    let inside = before.is_ascii_alphanumeric() || b"/._-~}$\\".contains(before) || *before >= 128;
    !inside || at.checked_sub(7).is_some_and(|scheme| begins(text, scheme, b"file://"))
}

/// The text with each of these strings replaced. The longest goes first where several begin.
fn literals(text: &str, literals: &[String]) -> Option<String> {
    let wanted: Vec<&str> = literals.iter().map(String::as_str).filter(|literal| !literal.is_empty()).collect();
    if wanted.is_empty() {
        return None;
    }
    let wanted = sorted_by(wanted, |literal| u64::MAX - literal.len() as u64);
    replaced(text, REDACTED, |text, at| {
        let found = wanted.iter().find(|literal| begins(text, at, literal.as_bytes()))?;
        Some((at, at + found.len()))
    })
}

/// Replaces the ranges that `found` gives for the bytes at which it is asked, from left to right. Ranges begin and end
/// at ASCII or at the ends of whole texts, so never inside a character, and never before the end of the one before.
fn replaced(text: &str, by: &str, found: impl Fn(&[u8], usize) -> Option<(usize, usize)>) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        at += 1;
        if let Some((from, to)) = found(bytes, at - 1)
            && from >= copied
            && to > from
        {
            out.push_str(text.get(copied..from)?);
            out.push_str(by);
            (copied, at) = (to, to);
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..)?);
    Some(out)
}

// ---------------------------------------------------------------------------------------------------------- scanning

fn begins(text: &[u8], at: usize, needle: &[u8]) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(needle))
}

fn begins_like(text: &[u8], at: usize, needle: &[u8]) -> bool {
    text.get(at..at + needle.len()).is_some_and(|piece| piece.eq_ignore_ascii_case(needle))
}

/// What a candidate is judged by, bytes. Only what turns out to be a secret is read to its end, and then skipped: else a
/// text full of beginnings would be read again from each.
const JUDGED: usize = 256;

/// The end of the bytes of a kind that begin here.
fn run(text: &[u8], at: usize, kind: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().position(|byte| !kind(*byte)).unwrap_or(rest.len());
    #[cfg(test)]
    tests::LOOKED.set(tests::LOOKED.get() + length);
    at + length
}

/// The same, looking at no more than `most` bytes.
fn run_within(text: &[u8], at: usize, most: usize, kind: impl Fn(u8) -> bool) -> usize {
    run(text.get(..text.len().min(at + most)).unwrap_or_default(), at, kind)
}

fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(b' ')
}

/// Whether no letter or digit stands before. (An escape in JSON, as in `\nsk-...`, is no letter.)
fn starts_word(text: &[u8], at: usize) -> bool {
    let last = before(text, at);
    !last.is_ascii_alphanumeric() && last != b'_'
        || (matches!(last, b'n' | b't' | b'r') && before(text, at.saturating_sub(1)) == b'\\')
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte)
}

fn space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// What a value is made of.
#[derive(Debug, Default)]
struct Looks {
    digits: usize,
    letters: usize,
    /// Marks that neither names nor paths nor versions hold.
    marks: usize,
    /// How often it goes over between small letters, capitals and digits. One capital before small letters is a word's
    /// beginning and does not count.
    turns: usize,
    /// Letters and digits in a row, at most.
    longest: usize,
    spaces: bool,
}

fn looks(value: &[u8]) -> Looks {
    let mut looks = Looks::default();
    let (mut last, mut row) = (0, 0);
    for byte in value {
        let class = match byte {
            b'a'..=b'z' => 1,
            b'A'..=b'Z' => 2,
            b'0'..=b'9' => 3,
            _ => 0,
        };
        match class {
            3 => looks.digits += 1,
            0 if byte.is_ascii_whitespace() => looks.spaces = true,
            0 if b"_-./:+=,".contains(byte) => {}
            0 => looks.marks += 1,
            _ => looks.letters += 1,
        }
        row = if class > 0 { row + 1 } else { 0 };
        looks.longest = looks.longest.max(row);
        if class > 0 {
            looks.turns += usize::from(last > 0 && class != last && (last, class) != (2, 1));
            last = class;
        }
    }
    looks
}

/// Whether a value of this length or more was drawn at random, and not made of words: letters and digits that take
/// turns. Of random letters and digits two in five neighbours differ so, of random hexadecimal digits nearly half, of
/// words hardly any.
fn is_random(value: &[u8], least: usize) -> bool {
    let Looks { digits, letters, turns, longest, .. } = looks(value);
    value.len() >= least && digits > 0 && letters > 0 && turns * 5 >= digits + letters && longest >= 8
}

// --------------------------------------------------------------------------------------------- secrets by their form

/// Which bytes follow a prefix.
#[derive(Debug, Clone, Copy)]
enum Body {
    /// Letters and digits.
    Alnum,
    /// Those, `-` and `_`.
    Word,
    /// Those and `.`, `/`, `+`, `=`.
    Any,
}

use Body::{Alnum, Any, Word};

/// Prefixes of keys and tokens, what follows them, and how much of it at least. What is sure of itself by its length
/// alone is told by the issuers' documentation; the least is a little below what they issue.
const PREFIXES: &[(&str, Body, usize)] = &[
    // Model providers.
    ("sk-", Word, 16),
    ("gsk_", Alnum, 40),
    ("xai-", Alnum, 40),
    ("pplx-", Alnum, 40),
    ("r8_", Alnum, 30),
    ("hf_", Alnum, 30),
    ("nvapi-", Word, 40),
    ("tvly-", Word, 20),
    ("AIza", Word, 30),
    ("ya29.", Word, 20),
    // Payment, mail, chat.
    ("sk_live_", Alnum, 12),
    ("sk_test_", Alnum, 12),
    ("rk_live_", Alnum, 12),
    ("rk_test_", Alnum, 12),
    ("whsec_", Any, 20),
    ("SG.", Any, 40),
    ("xoxb-", Word, 16),
    ("xoxp-", Word, 16),
    ("xoxa-", Word, 16),
    ("xoxr-", Word, 16),
    ("xoxs-", Word, 16),
    ("xapp-", Word, 16),
    ("hooks.slack.com/services/", Any, 30),
    ("shpat_", Alnum, 30),
    ("shpss_", Alnum, 30),
    // Clouds.
    ("AKIA", Alnum, 16),
    ("ASIA", Alnum, 16),
    ("dop_v1_", Alnum, 40),
    ("hvs.", Word, 20),
    ("sbp_", Alnum, 30),
    ("sntrys_", Any, 30),
    ("dckr_pat_", Word, 20),
    // Forges and registries.
    ("ghp_", Alnum, 20),
    ("gho_", Alnum, 20),
    ("ghs_", Alnum, 20),
    ("ghu_", Alnum, 20),
    ("ghr_", Alnum, 20),
    ("github_pat_", Word, 30),
    ("glpat-", Word, 18),
    ("npm_", Alnum, 30),
    ("pypi-", Word, 40),
    ("lin_api_", Alnum, 30),
    ("ntn_", Alnum, 40),
    ("figd_", Word, 30),
    ("PMAK-", Word, 40),
    ("ATATT3", Any, 40),
    ("AGE-SECRET-KEY-1", Alnum, 40),
];

/// A token with a known beginning.
fn known_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let first = text.get(at)?;
    for (prefix, body, least) in PREFIXES {
        let prefix = prefix.as_bytes();
        if prefix.first() != Some(first) || !begins(text, at, prefix) {
            continue;
        }
        let from = at + prefix.len();
        let kind = |byte: u8| match body {
            Alnum => byte.is_ascii_alphanumeric(),
            Word => word(byte),
            Any => base64(byte) || byte == b'.',
        };
        let value = text.get(from..run_within(text, from, JUDGED, kind))?;
        let token = match body {
            // Too long for a word.
            Alnum => value.iter().any(|byte| !byte.is_ascii_lowercase()),
            _ => is_token(value),
        };
        if value.len() >= *least && token {
            return Some((at, run(text, from, kind)));
        }
    }
    web_token(text, at)
}

/// Whether what follows a prefix is no name made of words and numbers, such as `sk-estimator-id-1`.
fn is_token(value: &[u8]) -> bool {
    let Looks { digits, letters, turns, longest, .. } = looks(value);
    digits > 0 && longest >= 8 && (letters == 0 || (turns >= 3 && turns * 8 >= digits + letters))
}

/// A JSON web token: three pieces of base64, of which the first is an object.
fn web_token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !begins(text, at, b"eyJ") {
        return None;
    }
    let header = run_within(text, at, JUDGED, word);
    if header < at + 10 || text.get(header) != Some(&b'.') {
        return None;
    }
    let payload = run(text, header + 1, word);
    if payload < header + 9 || text.get(payload) != Some(&b'.') {
        return None;
    }
    let signature = run(text, payload + 1, word);
    (signature > payload + 8).then_some((at, signature))
}

/// A block of a private key, up to the end of its last line; when it was cut off, up to the end of what is there of it.
/// A text that only speaks of such blocks holds no long run of base64 and stays.
fn private_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    const LABEL: usize = 40;
    if before(text, at) == b'-' || !begins(text, at, b"-----BEGIN ") {
        return None;
    }
    let label = at + 11;
    let body = run(text, label, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let is_key = text.get(label..body).is_some_and(|name| name.windows(11).any(|piece| piece == b"PRIVATE KEY"));
    if !is_key || body > label + LABEL || !begins(text, body, b"-----") {
        return None;
    }
    let (mut here, mut last, mut long) = (body + 5, None, false);
    loop {
        let piece = run(text, here, |byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        // The last line is shorter than the others, and so is the one where a text was cut off.
        let short = long && (piece == text.len() || is_random(text.get(here..piece)?, 16));
        long = piece - here >= 40;
        if long || short {
            last = Some(piece);
        }
        if begins(text, piece, b"-----END ") {
            let end = run(text, piece + 9, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
            last?;
            return Some((at, run(text, end, |byte| byte == b'-')));
        }
        let next = run(text, piece, |byte| byte.is_ascii_whitespace() || b"\\\"',:-.|>#*".contains(&byte));
        // Dashes may be those of the end.
        let dashes = text.get(piece..next).and_then(|gap| gap.windows(5).position(|gap| gap == b"-----"));
        here = dashes.map_or(next, |dashes| piece + dashes);
        if here == piece || here >= text.len() {
            return last.map(|last| (at, last));
        }
    }
}

/// The password in `scheme://user:password@host`, or a token that stands alone before the `@`.
fn password_in_url(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !begins(text, at, b"://") || !before(text, at).is_ascii_alphanumeric() {
        return None;
    }
    let from = at + 3;
    let end = run(text, from, |byte| byte.is_ascii_graphic() && !b"/?#\"'`<>\\".contains(&byte));
    let authority = text.get(from..end)?;
    let to = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority.get(..to)?.iter().position(|byte| *byte == b':');
    let start = colon.map_or(0, |colon| colon + 1);
    let value = authority.get(start..to)?;
    let secret = if colon.is_some() { !value.is_empty() && !is_template(value) } else { is_random(value, 20) };
    secret.then_some((from + start, from + to))
}

/// The value after `Bearer` and `Basic`.
fn credentials(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let after = |scheme: &[u8]| {
        let from = at + scheme.len();
        let value = run(text, from, space);
        (begins_like(text, at, scheme) && value > from)
            .then(|| (value, run(text, value, |byte| base64(byte) || byte == b'.' || byte == b'~')))
    };
    if let Some((from, to)) = after(b"bearer") {
        let value = text.get(from..to)?;
        let Looks { digits, letters, turns, .. } = looks(value);
        // After the name of the header nothing else can come; in prose only what no word looks like is one.
        let secret = if in_header(text, at) {
            value.len() >= 8 && (digits > 0 || turns > 2)
        } else {
            value.len() >= 12 && digits > 0 && letters > 0 && turns >= 3
        };
        return secret.then_some((from, to));
    }
    let (from, to) = after(b"basic")?;
    is_user_and_password(text.get(from..to)?).then_some((from, to))
}

/// Whether `authorization` and what sets it off from its value stand before.
fn in_header(text: &[u8], at: usize) -> bool {
    let head = text.get(..at).unwrap_or_default();
    let gap = head.iter().rev().take(8).take_while(|byte| b" :=\"'\\,".contains(byte)).count();
    let name = (at - gap).checked_sub(b"authorization".len());
    name.is_some_and(|name| begins_like(text, name, b"authorization"))
}

/// Whether base64 decodes to `user:password`.
fn is_user_and_password(value: &[u8]) -> bool {
    let (mut bits, mut held, mut colon, mut bytes) = (0_u32, 0, false, 0);
    for byte in value {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' | b'.' => break,
            _ => return false,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            let char = u8::try_from(bits >> held & 0xFF).unwrap_or_default();
            if char < b' ' {
                return false;
            }
            colon |= char == b':';
            bytes += 1;
        }
    }
    colon && bytes >= 3
}

// ---------------------------------------------------------------------------------------------- secrets by their name

/// What a name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Chosen by a person: may be short.
    Password,
    /// Issued: some length.
    Key,
    /// Issued, but the name also stands for other things: long and random.
    Token,
}

/// Ends of names, in small letters without `_`, `-` and `.`.
const NAMES: &[(&str, Kind)] = &[
    ("password", Kind::Password),
    ("passwd", Kind::Password),
    ("passphrase", Kind::Password),
    ("pwd", Kind::Password),
    ("secret", Kind::Key),
    ("secretkey", Kind::Key),
    ("apikey", Kind::Key),
    ("accesskey", Kind::Key),
    ("accountkey", Kind::Key),
    ("privatekey", Kind::Key),
    ("signingkey", Kind::Key),
    ("encryptionkey", Kind::Key),
    ("authkey", Kind::Key),
    ("credential", Kind::Token),
    ("credentials", Kind::Token),
    ("token", Kind::Token),
    ("amzsignature", Kind::Token),
];

/// Tokens that only say where to go on.
const PUBLIC: &[&str] = &["pagetoken", "nexttoken", "continuationtoken", "synctoken", "resumetoken"];

/// Names are no longer than this, bytes.
const NAME: usize = 64;

/// What a name ends with, without its separators and in small letters.
fn kind(name: &[u8]) -> Option<Kind> {
    let mut plain = [0_u8; NAME];
    let mut len = 0;
    for byte in name.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        *plain.get_mut(len)? = byte.to_ascii_lowercase();
        len += 1;
    }
    let plain = plain.get(..len)?;
    // `DB_PASS`, but not `compass`, and not the `PASS:` of a test run.
    let pass = plain.ends_with(b"pass")
        && name.len().checked_sub(5).and_then(|at| name.get(at)).is_some_and(|byte| !byte.is_ascii_alphanumeric());
    if pass {
        return Some(Kind::Password);
    }
    // A shell's working directory.
    if name == b"PWD" || name == b"OLDPWD" || PUBLIC.iter().any(|end| plain.ends_with(end.as_bytes())) {
        return None;
    }
    NAMES.iter().find(|(end, _)| plain.ends_with(end.as_bytes())).map(|(_, kind)| *kind)
}

/// The value of `name = value`, `name: value`, `"name": "value"` and the like; `at` is where the sign is.
fn assigned(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let head = text.get(..at)?;
    let skip = |end: usize, most: usize, kind: &dyn Fn(u8) -> bool| {
        let head = head.get(..end).unwrap_or_default();
        end - head.iter().rev().take(most).take_while(|byte| kind(**byte)).count()
    };
    let end = skip(at, 8, &space);
    // `name?:`, `"name":`, `\"name\":`, `['name'] =`.
    let end = skip(end, 4, &|byte| b"?\"'`\\]".contains(&byte));
    let start = skip(end, NAME, &|byte| word(byte) || byte == b'.');
    let kind = kind(text.get(start..end)?)?;
    let from = run(text, at, |byte| b":=>".contains(&byte));
    if let Some(found) = value(text, run(text, from, space), kind) {
        return Some(found);
    }
    // `name: Type = value`: the value follows the type.
    let typed = run_within(text, from, NAME, |byte| word(byte) || b" &'<>[]|.?".contains(&byte));
    let quote = run(text, typed + 1, space);
    let literal = text.get(typed) == Some(&b'=') && matches!(text.get(quote), Some(b'"' | b'\''));
    if literal { value(text, quote, kind) } else { None }
}

/// The value of `--name value`; `at` is where the first dash is. (`--name=value` is an assignment.)
fn option_value(text: &[u8], at: usize) -> Option<(usize, usize)> {
    if !begins(text, at, b"--") || !space(before(text, at)) {
        return None;
    }
    let end = run(text, at + 2, word);
    let kind = kind(text.get(at + 2..end)?)?;
    if text.get(end) == Some(&b' ') { value(text, end + 1, kind) } else { None }
}

/// The text of `<name>value</`; `at` is where the tag ends.
fn element(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let name = text.get(..at)?.iter().rev().take(NAME).take_while(|byte| word(**byte)).count();
    if before(text, at - name) != b'<' {
        return None;
    }
    let found = value(text, at + 1, kind(text.get(at - name..at)?)?)?;
    begins(text, found.1, b"</").then_some(found)
}

/// The value that begins here, in quotes or not, if it is a secret.
fn value(text: &[u8], at: usize, kind: Kind) -> Option<(usize, usize)> {
    let from = if text.get(at) == Some(&b'\\') { at + 1 } else { at };
    let quote = text.get(from).copied().filter(|byte| b"\"'`".contains(byte));
    let from = from + usize::from(quote.is_some());
    let inside = |byte: u8| match quote {
        Some(quote) => byte != quote && byte != b'\\' && byte != b'\n',
        None => byte.is_ascii_graphic() && !b"\"'`,;&)]}<>\\|".contains(&byte),
    };
    let judged = text.get(from..run_within(text, from, JUDGED, inside))?;
    is_secret(judged, quote.is_some(), kind).then(|| (from, run(text, from, inside)))
}

/// Whether a value is spelled out, and not a name, a call, a type or a sentence.
fn is_secret(value: &[u8], quoted: bool, kind: Kind) -> bool {
    let looks = looks(value);
    if looks.spaces || is_template(value) {
        return false;
    }
    if !quoted {
        let call = value.iter().any(|byte| b"([{".contains(byte));
        // `config.password2`, `self.key_1`, `db_password1`: where a value is to be found, not what it is.
        let names = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte));
        let member = value.windows(2).any(|pair| matches!(pair, [b'.', letter] if letter.is_ascii_alphabetic()));
        let same = self::kind(without_number(value)).is_some() && !is_random(value, 24);
        if (call && !is_random(value, 24)) || (names && (member || same)) {
            return false;
        }
    }
    // A place in the file system.
    if matches!(value, [b'/' | b'~' | b'.', ..]) && !is_random(value, 24) {
        return false;
    }
    let mixed = looks.letters > 0 && (looks.digits > 0 || looks.marks > 0);
    match kind {
        Kind::Password => {
            value.len() >= 6 && (mixed || (looks.letters == 0 && looks.digits >= 6) || looks.turns * 3 > looks.letters)
        }
        // The shorter, the plainer it has to be.
        Kind::Key => is_random(value, 16) || (is_random(value, 10) && looks.turns * 4 >= looks.digits + looks.letters),
        Kind::Token => is_random(value, 16),
    }
}

/// Without the digits at its end.
fn without_number(name: &[u8]) -> &[u8] {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    name.get(..name.len() - digits).unwrap_or_default()
}

/// Whether a value stands for one that is put in later, or was taken out already.
fn is_template(value: &[u8]) -> bool {
    matches!(value, [b'$' | b'{' | b'<' | b'%' | b'*' | b'[' | b'!', ..])
        || value.windows(2).any(|pair| matches!(pair, b"${" | b"{{" | b"**"))
        || value.windows(3).any(|piece| piece == b"..." || piece.eq_ignore_ascii_case(b"xxx"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
mod tests {
    use std::borrow::Cow;
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Bytes that were looked at beyond the first of each candidate.
        pub(super) static LOOKED: Cell<usize> = const { Cell::new(0) };
    }

    /// Text and what is left of it. Whole keys are put together here, so that nobody takes this file for a leak.
    fn found() -> Vec<(String, String)> {
        let b62 = "a8Kd03LmQz91XvTr5YpWn2Cb7HgJ4sEf6UiO0tRq";
        let hex = "3f9a0c71de5b284697afc0123e4d58b1";
        let line = "MIIEowIBAAKCAQEA7bqYzj0vK8m2pXQ1sT4uR6wF9hG3kL5nM0cB2dE7yJ1aV8iZ";
        let pem = |kind: &str| format!("-----BEGIN {kind}-----\n{line}\n{line}\nq0Zs81Lk==\n-----END {kind}-----");
        let case = |before: &str, secret: &str, after: &str| {
            (format!("{before}{secret}{after}"), format!("{before}[REDACTED]{after}"))
        };
        vec![
            // By their form.
            case("key ", &format!("sk-{b62}"), ", next"),
            case("(", &format!("sk-proj-{}_{}", &b62[..18], &b62[3..]), ")"),
            case("", &format!("sk-ant-api03-{b62}-{hex}AA"), ""),
            case("\"", &format!("sk-or-v1-{hex}{hex}"), "\""),
            case("deepseek: ", &format!("sk-{hex}"), "."),
            case("", &format!("sk_live_{}", &b62[..24]), " is live"),
            case("", &format!("rk_live_{}", &b62[..24]), ""),
            case("", &format!("whsec_{}", &b62[..32]), ""),
            case("id ", "AKIAIOSFODNN7EXAMPLE", " of aws"),
            case("push with ", &format!("ghp_{}", &b62[..36]), "\n"),
            case("`", &format!("gho_{}", &b62[..36]), "`"),
            case("", &format!("ghs_{}", &b62[..36]), ""),
            case("", &format!("github_pat_11ABCDE0_{b62}"), ""),
            case("", &format!("xoxb-123456789012-{}", &b62[..24]), ""),
            case("", &format!("AIza{}", &b62[..35]), ""),
            case("", &format!("ya29.{b62}-x"), ""),
            case("", &format!("glpat-{}", &b62[..20]), ""),
            case("", &format!("hf_{}", &b62[..34]), ""),
            case("", &format!("npm_{}", &b62[..36]), ""),
            case("", &format!("dckr_pat_{}", &b62[..27]), ""),
            case("", &format!("SG.{}.{b62}", &b62[..22]), ""),
            case("post to https://", &format!("hooks.slack.com/services/T0AB12CD3/B0EF45GH6/{}", &b62[..24]), ""),
            case("jwt ", &format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{b62}"), " end"),
            case("a\\n", &format!("sk-{b62}"), "\\n"),
            case("日本", &format!("sk-{b62}"), "語"),
            case("see\n", &pem("RSA PRIVATE KEY"), "\nafter"),
            case("", &pem("PRIVATE KEY"), ""),
            case("\"", &pem("OPENSSH PRIVATE KEY").replace('\n', "\\n"), "\\n\""),
            case("cut ", &format!("-----BEGIN PRIVATE KEY-----\n{line}\n{line}\nq0Zs81"), ""),
            case("cut ", &format!("-----BEGIN PRIVATE KEY-----\n{line}\n{line}"), "\nThen the tests were run (again)."),
            // By what stands before.
            case("Authorization: Bearer ", &b62[..20], ""),
            case("-H \"authorization: bearer ", "abcd1234", "\""),
            case("{\"Authorization\": \"Bearer ", &b62[..30], "\"}"),
            case("use Bearer ", &format!("{hex}.{hex}"), " for it"),
            case("Authorization: Basic ", "dXNlcjpwYXNzd29yZA==", ""),
            case("postgres://app:", "s3cr3t", "@db.internal:5432/main"),
            case("https://u:", "p%40ss!", "@example.com/x?y=z"),
            case("git clone https://", &b62[..30], "@github.com/a/b.git"),
            // By name.
            case("DB_PASSWORD=", "hunter2", "\n"),
            case("password: ", "Tr0ub4dor3", ""),
            case("password = '", "correct!horse", "'"),
            case("\"password\": \"", "hunter22", "\","),
            case("{\\\"password\\\": \\\"", "hunter22", "\\\"}"),
            case("mysql_pass=", "qwerty123", ""),
            case("passwd: ", "20040711", ""),
            case("export OPENAI_API_KEY=\"", &b62[..24], "\""),
            case("api-key: ", hex, ""),
            case("X-Api-Key: ", hex, "\r\n"),
            case("?page=2&api_key=", hex, "&sort=asc"),
            case("apiKey: '", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", "'"),
            case("aws_secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""),
            case("client_secret => \"", &b62[..16], "\""),
            case("clientSecret: ", "q8Lm-92xZ0pw1", ""),
            case("const apiKey: string = \"", &b62[..20], "\";"),
            case("access_token=", b62, ""),
            case("//packages.example/:_authToken=", hex, ""),
            case("refresh_token: \"", &b62[..22], "\""),
            case("curl --token ", hex, " https://example.com"),
            case("login --password ", "hunter2", " --user me"),
            case("<password>", "hunter2", "</password>"),
            case("X-Amz-Signature=", &format!("{hex}{hex}"), ""),
            case("config['password'] = '", "hunter2", "'"),
        ]
    }

    /// Ordinary lines: code, configuration, logs, prose.
    const ORDINARY: &[&str] = &[
        "task-runner, risk-free, desk-lamp, disk-usage and ask-me-anything",
        "the task-runner-2024-10-01T00-00-00Z finished; disk-0123456789abcdef is full",
        "ecs task-3f9a0c71de5b284697afc0123e4d58b1 is on disk-3f9a0c71de5b284697af",
        "npm_config_cache=/root/.npm npm_config_user_agent=npm/10.2.4",
        "npm_package_dependencies_react_router_dom_version",
        "sk-abc123",
        "<div class=\"sk-toggleable__content fitted\"><label for=\"sk-estimator-id-1\">",
        "class=\"sk-container-id-12 sk-text-repr-fallback\"",
        "from huggingface_hub import hf_hub_download, hf_api",
        "hf_model_name_or_path_for_the_tokenizer_v2",
        "sk_test_configuration_of_the_runner",
        "SG.Manager.createInstance(SG.Options)",
        "AKIA is the prefix of access keys",
        "whsec_ and sk_live_ are prefixes",
        "-----BEGIN CERTIFICATE-----",
        "if pem.contains(\"-----BEGIN RSA PRIVATE KEY-----\") { parse(pem, \"-----END RSA PRIVATE KEY-----\") }",
        "The header -----BEGIN PRIVATE KEY----- comes first, then the body, then -----END PRIVATE KEY-----.",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 (HEAD -> main)",
        "index 3b18e512dba7..9fceb02d0ae5 100644",
        "id: 550e8400-e29b-41d4-a716-446655440000",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "\"integrity\": \"sha512-z5eHlNhHnhHLvZ1BQ8n7k0nI2tJf0tJv9dV6wXyzAbCdEfGhIjKlMnOpQrStUvWxYz==\"",
        "/home/alice/projects/app/src/token.rs:42:7",
        "let token = tokens[i];",
        "let token = lexer.next_token();",
        "fn parse(token: Token, secret: &SecretStore) -> Result<Token2>",
        "token: usize, password: String, secret: Option<String>",
        "type Props = { password?: string; token: CancellationToken }",
        "max_tokens=4096, total_tokens: 123456, prompt_tokens: 1234567890",
        "eos_token=\"<|endoftext|>\", pad_token: \"[PAD]\", unk_token='<unk>'",
        "\"token\": \"hello\", \"token_id\": 15339",
        "nextPageToken: \"CAEQAhokMTIzNDU2Nzg5MGFiY2RlZg1x2y3z\"",
        "token = \"feature-flag-service-2024\"",
        "password=password, token=token, api_key=api_key",
        "connect(password=password1, token=access_token2)",
        "password = input(\"Password: \")",
        "api_key=os.environ[\"OPENAI_API_KEY\"]",
        "apiKey: process.env.OPENAI_API_KEY_2",
        "client = OpenAI(api_key=settings.openai_key_1)",
        "GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}",
        "password: \"${DB_PASSWORD_1}\"",
        "POSTGRES_PASSWORD=$POSTGRES_PASSWORD_2",
        "password: <your password 1>",
        "api_key: YOUR_API_KEY",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxx",
        "password: ********",
        "Password: must be at least 8 characters and hold 1 digit",
        "\"password\": \"Enter your password\"",
        "\"password\": {\"type\": \"string\", \"minLength\": 8}",
        "<input type=\"password\" name=\"password\">",
        "<password>required</password>",
        "secretName: my-app-tls",
        "secret: k8s-secret-name-1",
        "secret_path = /etc/ssl/private/key1.pem",
        "password_file: /run/secrets/db_password1",
        "PWD=/home/user2/app1 OLDPWD=/home/user2",
        "the secret: never give up in 2024",
        "The token: a short story in 12 chapters",
        "Bearer token authentication is used by the API",
        "bearer authentication, see RFC 6750",
        "Authorization: Bearer $TOKEN1",
        "Authorization: Bearer <token>",
        "headers = {\"Authorization\": f\"Bearer {token}\"}",
        "Basic usage: run it twice. Basic authentication follows.",
        "basic-auth is off",
        "https://example.com:8443/a/b?x=1@2",
        "http://localhost:3000/@vite/client",
        "git+ssh://git@github.com:org/repo.git",
        "postgres://${USER}:${PASS}@localhost/db",
        "redis://user:{password}@host",
        "mail me: jane.doe@example.com",
        "2024-05-01T12:00:00.123Z INFO token bucket refilled: 1000",
        "error[E0382]: borrow of moved value: `token`",
        "Vec<Token>, HashMap<String, Secret>",
        "secrets::token::Token::new()",
        "assert_eq!(token, Token::Ident2)",
        "eyJ is how they begin; eyJhbGciOiJIUzI1NiJ9 is only a header",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "你的密码：请不要告诉别人。password 是必填项",
        "version = \"1.2.3-beta.4+build.5678\"",
        "secret santa: 12 people signed up",
        "if (password === confirmPassword2) return;",
        "--token-limit 4096 --password-file pw1.txt",
        "#[serde(rename = \"accessToken\")]",
        "    --- PASS: TestFileEvent_Validate/rename_is_valid_2 (0.00s)",
        "FAIL 3, PASS: TestExtractToolInfo2; PASS=TestSingleExchange10",
        "Password: TestFileEventValidate",
        "pub const InheritPrivateKey: X509RequestInheritOptions = 1;",
        "let raw_private_key: Curve25519SeedBin = seed;",
        "def sign(self, private_key: ed25519.Ed25519PrivateKey) -> bytes:",
        "SELECT password, token FROM users WHERE id = 12345678",
    ];

    #[test]
    fn secrets_of_every_kind_are_taken_out_and_nothing_around_them() {
        for (text, left) in found() {
            assert_eq!(secrets(&text).as_deref(), Some(left.as_str()), "{text}");
        }
    }

    #[test]
    fn b22_ordinary_text_stays_as_it_is() {
        for line in ORDINARY {
            assert_eq!(secrets(line), None, "{line}");
        }
    }

    #[test]
    fn nothing_is_taken_out_twice() {
        for (_, left) in found() {
            assert_eq!(secrets(&left), None, "{left}");
        }
    }

    #[test]
    fn several_secrets_of_one_text_are_all_taken_out() {
        let (mut text, mut left) = (String::new(), String::new());
        // A private key that was cut off ends with its text.
        for (from, to) in found().iter().filter(|(from, _)| !from.starts_with("cut")) {
            text.extend([from, " \n"]);
            left.extend([to, " \n"]);
        }
        assert_eq!(secrets(&text), Some(left));
    }

    #[test]
    fn text_without_a_secret_is_not_copied() {
        let redaction = Redaction { paths: true, literals: vec!["nowhere".to_owned()], ..Redaction::default() };
        assert!(matches!(redaction.apply("nothing of the kind"), Cow::Borrowed(_)));
    }

    #[test]
    fn secrets_are_taken_out_unless_that_is_switched_off() {
        let text = "password=hunter2 in /home/alice";
        assert_eq!(Redaction::default().apply(text), "password=[REDACTED] in /home/alice");
        let off = Redaction { secrets: false, ..Redaction::default() };
        assert_eq!(off.apply(text), text);
    }

    #[test]
    fn b22_paths_are_taken_out_only_on_demand() {
        assert_eq!(
            paths("in /home/alice/app/main.rs:12, /tmp/x. and C:\\Users\\bob\\a.txt; \"/var/log/syslog\""),
            Some("in [PATH]:12, [PATH]. and [PATH]; \"[PATH]\"".to_owned())
        );
        assert_eq!(paths("open file:///Users/eve/x.md now"), Some("open file://[PATH] now".to_owned()));
        for text in
            ["src/home/page.tsx", "https://example.com/home/x", "./tmp/a ../var/b", "/usr/lib/x", "/home/", "/tmpfs/a"]
        {
            assert_eq!(paths(text), None, "{text}");
        }
    }

    #[test]
    fn literals_are_taken_out_the_longest_first_and_empty_ones_ignored() {
        let literals = ["ann", "", "ann smith", "日本", "RED"].map(str::to_owned).to_vec();
        let redaction = Redaction { secrets: false, paths: false, literals };
        assert_eq!(
            redaction.apply("ann smith, joann, 日本語, REDO"),
            "[REDACTED], jo[REDACTED], [REDACTED]語, [REDACTED]O"
        );
        assert_eq!(redaction.apply("Ann"), "Ann", "exactly these");
        let none = Redaction { literals: vec![String::new()], ..Redaction::default() };
        assert_eq!(none.apply("abc"), "abc");
    }

    #[test]
    fn options_are_plain_data_and_unknown_ones_are_refused() {
        let read = |json: &str| serde_json::from_str::<Redaction>(json);
        assert_eq!(read("{}").unwrap(), Redaction::default());
        assert_eq!(
            read(r#"{"secrets":false,"paths":true,"literals":["x"]}"#).unwrap(),
            Redaction { secrets: false, paths: true, literals: vec!["x".to_owned()] }
        );
        assert!(read(r#"{"secret":false}"#).is_err());
    }

    #[test]
    fn texts_full_of_beginnings_take_linear_time() {
        let pieces = [
            "sk-",
            "eyJ-",
            "eyJaaaaaaaaaa.",
            "secret=",
            "secret='",
            "://a:",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\n",
            "token:",
            "bearer ",
            "--token ",
            "/tmp/",
            "<token>",
            "password: a ",
            "--",
            "=",
            "\\\"secret\\\":\\\"",
            "é",
        ];
        let looked = |text: &str| {
            LOOKED.set(0);
            let _ = (secrets(text), paths(text));
            LOOKED.get()
        };
        for piece in pieces {
            let (short, long) = (looked(&piece.repeat(1_000)), looked(&piece.repeat(32_000)));
            assert!(long <= short * 34, "{piece}: {short} and {long} bytes were looked at");
        }
    }

    #[test]
    fn no_cut_of_a_text_makes_it_panic() {
        for (text, _) in found() {
            let text = format!("é{text}é");
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
                let _ = (secrets(&text[at..]), secrets(&text[..at]), paths(&text[at..]));
            }
        }
    }
}
