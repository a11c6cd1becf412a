//! Fits and measures the heuristic token counter on the corpus `corpus.py` wrote.
//!
//! ```text
//! calibrate fit DOCS WEIGHTS [--hold-out]   fit the tables, write them, print the errors (of the held-out half too)
//! calibrate report DOCS                     errors and speed of the counter as compiled in
//! ```
//!
//! The counter's own walk names the weights a text uses, so what is fitted is exactly what runs. Steps:
//! 1. the set of usual characters and pairs beyond ASCII, by counting;
//! 2. weights: stochastic gradient descent (Adagrad) on the squared error of every chunk, quantisation-aware after its
//!    first third; then the prices of characters are raised until no document beyond ASCII is under;
//! 3. multipliers, rising with the unusualness they stand for: asymmetric least squares on stretches of about 300 tokens,
//!    an undershoot weighing more than an overshoot; then one common factor; then those that conversations hardly use
//!    are raised while other texts are under.

#[allow(dead_code)]
#[path = "../../../src/tokens/heuristic.rs"]
mod heuristic;

use heuristic::{walk, CONTEXT_WORTH, Heuristic, Model, BYTES, LENGTH, MULTIPLIERS, ONE, PRICE, PRICES, SPACES, UNITS, USUAL_BITS, USUAL_BYTES, WEIGHTS, WHOLE, WIDE};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

struct Doc {
    kind: String,
    group: String,
    half: u8,
    index: u32,
    text: String,
    starts: Vec<u8>,
}

impl Doc {
    fn is_dev(&self) -> bool {
        self.kind.starts_with("dev:")
    }
    fn tokens(&self) -> f64 {
        self.starts.iter().map(|&b| f64::from(b)).sum()
    }
}

fn load(path: &str) -> Vec<Doc> {
    let data = std::fs::read(path).expect("docs");
    let (mut at, mut docs) = (0, vec![]);
    fn take<'a>(data: &'a [u8], at: &mut usize, n: usize) -> &'a [u8] {
        *at += n;
        &data[*at - n..*at]
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    while at < data.len() {
        let half = take(&data, &mut at, 1)[0];
        let n = take(&data, &mut at, 1)[0] as usize;
        let kind = text(take(&data, &mut at, n));
        let n = take(&data, &mut at, 1)[0] as usize;
        let group = text(take(&data, &mut at, n));
        let index = number(take(&data, &mut at, 4));
        let n = number(take(&data, &mut at, 4)) as usize;
        let body = String::from_utf8(take(&data, &mut at, n).to_vec()).unwrap();
        let starts = take(&data, &mut at, n).to_vec();
        docs.push(Doc { kind, group, half, index, text: body, starts });
    }
    docs
}

/// A tunable, overridable from the environment for experiments; the defaults are the published calibration.
fn tune(name: &str, default: f32) -> f32 {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

/// How much a chunk of a kind of text weighs in steps 1 and 2.
fn importance(kind: &str) -> f32 {
    let is = |prefix: &str| kind.starts_with(prefix);
    if is("dev:") {
        tune("W_DEV", 6.0)
    } else if is("code:") || is("json:") {
        1.0
    } else if is("udhr:latin") || is("po:latin") || is("json-locale:latin") {
        tune("W_LATIN", 0.3)
    } else if is("syn:run") {
        3.0
    } else if is("syn:") {
        tune("W_SYN", 0.5)
    } else if is("block:") {
        tune("W_BLOCK", 0.4)
    } else {
        1.0
    }
}

/// Step 1's table, and later the finished ones.
#[derive(Clone)]
struct Tables {
    /// As stored: levels, indices of prices, or sixteenths.
    weights: Vec<i8>,
    multipliers: Vec<u8>,
    usual: Vec<u8>,
}

impl Tables {
    fn is_usual(&self, slot: usize) -> bool {
        self.usual[slot >> 3] >> (slot & 7) & 1 == 1
    }
    fn bytes(&self) -> Vec<u8> {
        let w: Vec<u8> = self.weights.iter().map(|w| w.cast_unsigned()).collect();
        let mut out: Vec<u8> = w[..PRICE].chunks(4).map(|c| c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6).collect();
        out.extend(w[PRICE..LENGTH].chunks(2).map(|c| c[0] | c[1] << 4));
        out.extend(&w[LENGTH..]);
        out.extend(&self.multipliers);
        out.extend(&self.usual);
        assert_eq!(out.len(), BYTES);
        out
    }
}

/// What a stored weight is worth, in sixteenths.
fn worth(index: usize, stored: i8) -> f32 {
    let unit = |n: usize| ((i32::from(stored) - UNITS[n].1) * UNITS[n].0) as f32;
    match index {
        _ if index < WHOLE => (CONTEXT_WORTH >> (stored << 2) & 15) as f32,
        _ if index < WIDE => unit(0),
        _ if index < PRICE => unit(1),
        _ if index < LENGTH => f32::from(PRICES[stored as usize]),
        _ => f32::from(stored),
    }
}

/// The stored weight nearest to a worth in sixteenths.
fn store(index: usize, w: f32) -> i8 {
    let unit = |n: usize| ((w / UNITS[n].0 as f32).round() as i32 + UNITS[n].1).clamp(0, 3) as i8;
    match index {
        _ if index < WHOLE => (0..4).min_by(|&a, &b| (worth(index, a) - w).abs().total_cmp(&(worth(index, b) - w).abs())).unwrap(),
        _ if index < WIDE => unit(0),
        _ if index < PRICE => unit(1),
        _ if index < LENGTH => {
            let w = w.max(0.5).ln();
            (0..16).min_by(|&a, &b| (f32::from(PRICES[a]).ln() - w).abs().total_cmp(&(f32::from(PRICES[b]).ln() - w).abs())).unwrap() as i8
        }
        _ => w.round().clamp(-120.0, 120.0) as i8,
    }
}

/// Step 1: counts what the walk looks up.
struct Counting<'a> {
    seen: RefCell<(&'a mut HashMap<usize, f64>, f64)>,
}

impl Model for Counting<'_> {
    fn level(&mut self, _: usize) -> i32 {
        0
    }
    fn price(&mut self, _: usize) -> usize {
        0
    }
    fn weight(&mut self, _: usize) -> i32 {
        0
    }
    fn usual(&self, slot: usize) -> bool {
        let mut seen = self.seen.borrow_mut();
        let weight = seen.1;
        *seen.0.entry(slot).or_default() += weight;
        false
    }
    fn close(&mut self, _: i32, _: i32, _: usize, _: usize) {}
    fn fixed(&mut self, _: i32, _: usize) {}
}

fn count_usual(docs: &[Doc], held_out: bool) -> Tables {
    let mut by_kind: BTreeMap<&str, HashMap<usize, f64>> = BTreeMap::new();
    for doc in docs {
        // Noise is what this table must tell from text.
        if doc.kind.starts_with("syn") || doc.kind.starts_with("block") || held_out && doc.is_dev() && doc.half == 1 {
            continue;
        }
        let script = doc.kind.rsplit(':').next().unwrap();
        let script = if doc.kind.starts_with("code") || doc.kind.starts_with("json:") { "code" } else { script };
        walk(&doc.text, &mut Counting { seen: RefCell::new((by_kind.entry(script).or_default(), 1.0)) });
    }
    // Every script its share: the root keeps large ones from taking all.
    let mut usual: HashMap<usize, f64> = HashMap::new();
    for (script, slots) in &by_kind {
        let total: f64 = slots.values().sum();
        for (&slot, &n) in slots {
            let boost = if matches!(*script, "crosswoz_zh" | "cjk" | "hangul" | "japanese") { tune("HAN", 3.0) } else { 1.0 };
            *usual.entry(slot).or_default() += f64::from(boost) * (n / total).powf(0.7);
        }
    }
    let mut slots: Vec<_> = usual.into_iter().collect();
    slots.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut set = vec![0_u8; USUAL_BYTES];
    for (slot, _) in slots.iter().take((f64::from(1_u32 << USUAL_BITS) * f64::from(tune("USUAL", 0.42))) as usize) {
        set[slot >> 3] |= 1 << (slot & 7);
    }
    Tables { weights: vec![0; WEIGHTS], multipliers: vec![64; MULTIPLIERS], usual: set }
}

/// One priced chunk: which weights (a range of `Corpus::weights`), its price and floor in tokens by the tables it was
/// recorded with, multiplier, real tokens and document.
struct Sample {
    from: u32,
    to: u32,
    price: f32,
    floor: f32,
    multiplier: u16,
    tokens: f32,
    doc: u32,
}

struct Recording<'a> {
    tables: &'a Tables,
    weights: &'a mut Vec<u16>,
    samples: &'a mut Vec<Sample>,
    starts: &'a [u8],
    from_byte: usize,
    doc: u32,
}

/// Chunks of known price have no weights and no multiplier.
const FIXED: u16 = u16::MAX;

impl Recording<'_> {
    fn sample(&mut self, price: f32, floor: f32, multiplier: u16, end: usize) {
        let from = self.samples.last().map_or(0, |s| s.to);
        if multiplier == FIXED {
            self.weights.truncate(from as usize);
        }
        let tokens = self.starts[self.from_byte..end].iter().map(|&b| f32::from(b)).sum();
        self.from_byte = end;
        self.samples.push(Sample { from, to: self.weights.len() as u32, price, floor, multiplier, tokens, doc: self.doc });
    }
    fn uses(&mut self, weight: usize) -> i32 {
        self.weights.push(weight as u16);
        self.tables.weights[weight].into()
    }
}

impl Model for Recording<'_> {
    fn level(&mut self, weight: usize) -> i32 {
        self.uses(weight)
    }
    fn price(&mut self, slot: usize) -> usize {
        self.uses(PRICE + slot) as usize
    }
    fn weight(&mut self, weight: usize) -> i32 {
        self.uses(weight)
    }
    fn usual(&self, slot: usize) -> bool {
        self.tables.is_usual(slot)
    }
    fn close(&mut self, price: i32, floor: i32, multiplier: usize, end: usize) {
        self.sample(price.max(floor) as f32 / ONE as f32, floor as f32 / ONE as f32, multiplier as u16, end);
    }
    fn fixed(&mut self, price: i32, end: usize) {
        self.sample(price as f32 / 64.0, 0.0, FIXED, end);
    }
}

struct Corpus<'a> {
    docs: &'a [Doc],
    weights: Vec<u16>,
    samples: Vec<Sample>,
}

impl Corpus<'_> {
    fn uses(&self, sample: &Sample) -> &[u16] {
        &self.weights[sample.from as usize..sample.to as usize]
    }
    fn doc(&self, sample: &Sample) -> &Doc {
        &self.docs[sample.doc as usize]
    }
}

fn record<'a>(docs: &'a [Doc], tables: &Tables) -> Corpus<'a> {
    let (mut weights, mut samples) = (vec![], vec![]);
    for (number, doc) in docs.iter().enumerate() {
        let mut model =
            Recording { tables, weights: &mut weights, samples: &mut samples, starts: &doc.starts, from_byte: 0, doc: number as u32 };
        walk(&doc.text, &mut model);
        assert_eq!(model.from_byte, doc.text.len(), "the walk covers every byte");
    }
    Corpus { docs, weights, samples }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// Step 2.
fn fit_weights(corpus: &Corpus, trains: &dyn Fn(&Doc) -> bool) -> Vec<i8> {
    let one = ONE as f32;
    let mut w: Vec<f32> = (0..WEIGHTS).map(|i| if (PRICE..LENGTH).contains(&i) { 1.0 } else { 0.0 }).collect();
    let mut energy = vec![1e-2_f32; WEIGHTS];
    // Very long pieces (runs of one character) would drown everything else.
    let mut order: Vec<u32> = (0..corpus.samples.len() as u32)
        .filter(|&i| {
            let s = &corpus.samples[i as usize];
            s.from < s.to && s.tokens <= 100.0 && trains(corpus.doc(s))
        })
        .collect();
    let importances: Vec<f32> = corpus.docs.iter().map(|d| importance(&d.kind)).collect();
    let epochs = tune("EPOCHS", 6.0) as usize;
    let mut random = Random(12345);
    for epoch in 0..epochs {
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i + 1));
        }
        let rate = 0.15 * (1.0 - epoch as f32 / epochs as f32);
        let quantised = epoch * 3 >= epochs;
        let (mut loss, mut mass) = (0_f64, 0_f64);
        for &i in &order {
            let sample = &corpus.samples[i as usize];
            let uses = corpus.uses(sample);
            let sum: f32 = uses
                .iter()
                .map(|&x| {
                    let index = usize::from(x);
                    if quantised && index < PRICE { worth(index, store(index, w[index] * one)) / one } else { w[index] }
                })
                .sum();
            let (raw, y) = (sum + if sample.multiplier == 97 { 0.0 } else { 1.0 }, sample.tokens);
            // Below its floor a chunk's price no longer depends on the sum: only keep it from drifting away.
            let error = if raw < sample.floor && y <= sample.floor { 0.02 * (raw - sample.floor) } else { raw - y };
            let weight = importances[sample.doc as usize] / (1.0 + 0.25 * y);
            loss += f64::from(weight * (raw.max(sample.floor) - y).powi(2));
            mass += f64::from(weight);
            for &x in uses {
                let x = x as usize;
                let gradient = 1.25 * weight * error + 1e-5 * w[x];
                energy[x] += gradient * gradient;
                w[x] -= rate * gradient / energy[x].sqrt();
                if x < WHOLE {
                    w[x] = w[x].clamp(-0.1, 0.75);
                } else if x < PRICE {
                    w[x] = w[x].clamp(-0.4, 0.7);
                } else if x < LENGTH {
                    w[x] = w[x].max(0.05);
                } else if x == SPACES + 32 {
                    w[x] = w[x].max(0.7);
                }
            }
        }
        eprintln!("epoch {epoch}: rmse {:.4}", (loss / mass).sqrt());
    }
    w.iter().enumerate().map(|(i, &w)| store(i, w * one)).collect()
}

/// Raises the prices of characters until no document beyond ASCII is priced under; `record` tells by how much.
fn raise_prices(docs: &[Doc], tables: &mut Tables, trains: &dyn Fn(&Doc) -> bool) {
    let margin = f64::from(tune("MARGIN_WIDE", 1.01));
    let mut exact: Vec<f64> = (PRICE..LENGTH).map(|i| f64::from(PRICES[tables.weights[i] as usize])).collect();
    let chosen: Vec<&Doc> =
        docs.iter().filter(|d| trains(d) && d.tokens() >= 150.0 && d.text.bytes().filter(|&b| b >= 127 || b < 9).count() * 3 > d.text.len()).collect();
    for _ in 0..tune("RAISE", 30.0) as usize {
        let (mut push, mut pull) = (vec![0.0; 1024], vec![1e-3; 1024]);
        for doc in &chosen {
            let (mut weights, mut samples) = (vec![], vec![]);
            walk(&doc.text, &mut Recording { tables, weights: &mut weights, samples: &mut samples, starts: &doc.starts, from_byte: 0, doc: 0 });
            let total: f64 = samples.iter().map(|s| f64::from(s.price) * if s.multiplier == 97 { margin } else { 1.03 }).sum();
            let short = 0.99 - total / doc.tokens();
            let mut counts: HashMap<usize, f64> = HashMap::new();
            for &w in weights.iter().filter(|&&w| (PRICE..LENGTH).contains(&usize::from(w))) {
                *counts.entry(usize::from(w) - PRICE).or_default() += exact[usize::from(w) - PRICE];
            }
            for (cell, cost) in counts {
                // Documents that are over hold a price back a little.
                pull[cell] += cost * if short > 0.0 { 1.0 } else { f64::from(tune("HOLD", 0.05)) };
                if cell & 3 > 1 || !matches!(cell >> 2, 96 | 144 | 185..226) && (cell & 3 != 0 || !doc.kind.contains("block") && !doc.kind.contains("syn")) {
                    push[cell] += cost * short.max(0.0) * 2.0;
                }
            }
        }
        for cell in 0..1024 {
            exact[cell] = (exact[cell] * (1.0 + push[cell] / pull[cell])).min(64.0);
            let up = (0..16).find(|&i| f64::from(PRICES[i]) * 1.06 >= exact[cell]).unwrap_or(15);
            tables.weights[PRICE + cell] = tables.weights[PRICE + cell].max(up as i8);
        }
    }
}

/// The row of multipliers one belongs to: rising within it.
fn row(multiplier: usize) -> std::ops::Range<usize> {
    match multiplier {
        0..32 => 0..32,
        32..64 => 32..64,
        64..96 => 64..96,
        m => m..m + 1,
    }
}

/// Step 3.
fn fit_multipliers(corpus: &Corpus, trains: &dyn Fn(&Doc) -> bool) -> Vec<u8> {
    struct Stretch<'a> {
        kind: &'a str,
        tokens: f64,
        fixed: f64,
        by_multiplier: HashMap<u16, f64>,
    }
    let mut stretches: Vec<Stretch> = vec![];
    let mut last: Option<&Doc> = None;
    for sample in &corpus.samples {
        let doc = corpus.doc(sample);
        if !trains(doc) {
            continue;
        }
        let same = last.is_some_and(|l| l.kind == doc.kind && l.group == doc.group);
        if !same || stretches.last().is_some_and(|s| s.tokens >= 300.0) {
            stretches.push(Stretch { kind: &doc.kind, tokens: 0.0, fixed: 0.0, by_multiplier: HashMap::new() });
        }
        last = Some(doc);
        let stretch = stretches.last_mut().unwrap();
        stretch.tokens += f64::from(sample.tokens);
        if sample.multiplier == FIXED {
            stretch.fixed += f64::from(sample.price);
        } else {
            *stretch.by_multiplier.entry(sample.multiplier).or_default() += f64::from(sample.price);
        }
    }
    stretches.retain(|s| s.tokens >= 100.0);
    let mut mass: HashMap<&str, f64> = HashMap::new();
    for s in &stretches {
        *mass.entry(s.kind).or_default() += s.tokens;
    }
    // How much a whole kind of text weighs, and how much worse an undershoot is than an overshoot.
    let (dev, other, noise) = (tune("M_DEV", 35.0), tune("M_OTHER", 0.05), tune("M_NOISE", 0.1));
    let (under_dev, under) = (f64::from(tune("U_DEV", 10.0)), f64::from(tune("U_OTHER", 40.0)));
    let (mut multipliers, mut steps, mut energy) = ([1.0_f64; MULTIPLIERS], [0.0_f64; MULTIPLIERS], [1e-12_f64; MULTIPLIERS]);
    const ROUNDS: usize = 500;
    for round in 0..ROUNDS {
        let mut gradient = [0.0_f64; MULTIPLIERS];
        for s in &stretches {
            let is_dev = s.kind.starts_with("dev:");
            let is_noise = s.kind.starts_with("block:") || s.kind.starts_with("syn:");
            let cost = s.fixed + s.by_multiplier.iter().map(|(&m, c)| multipliers[m as usize] * c).sum::<f64>();
            let error = cost / s.tokens - if is_noise || !is_dev { f64::from(tune("AIM", 1.03)) } else { 1.0 };
            let slope = if error >= 0.0 { 1.0 } else if is_dev { under_dev } else { under };
            let weight = f64::from(if is_dev { dev } else if is_noise { noise } else { other }) * s.tokens / mass[s.kind];
            for (&m, c) in &s.by_multiplier {
                gradient[m as usize] += error * slope * weight * c / s.tokens;
            }
        }
        let rate = 0.01 * (1.0 - round as f64 / ROUNDS as f64);
        for m in 0..MULTIPLIERS {
            let g: f64 = (m..row(m).end).map(|j| gradient[j]).sum();
            energy[m] = 0.9 * energy[m] + 0.1 * g * g;
            if m < 96 || m == 98 {
                steps[m] = (steps[m] - rate * g / (energy[m].sqrt() + 1e-9)).max(0.0);
            }
        }
        for m in 0..MULTIPLIERS {
            multipliers[m] = 1.0 + steps[row(m).start..=m].iter().sum::<f64>();
        }
    }
    let (ascii, wide) = (f64::from(tune("MARGIN", 1.03)), f64::from(tune("MARGIN_WIDE", 1.01)));
    multipliers.iter().enumerate().map(|(m, x)| (x * 64.0 * if m < 96 || m == 98 { ascii } else { wide }).round().clamp(0.0, 255.0) as u8).collect()
}

/// Raises multipliers until no other text is priced under, the faster the less conversations use a multiplier.
fn raise_multipliers(corpus: &Corpus, tables: &mut Tables, trains: &dyn Fn(&Doc) -> bool) {
    let mut exact: Vec<f64> = tables.multipliers.iter().map(|&m| f64::from(m)).collect();
    let mut dev = vec![1.0; MULTIPLIERS];
    let mut by_doc: HashMap<u32, (f64, HashMap<usize, f64>)> = HashMap::new();
    for sample in &corpus.samples {
        let doc = corpus.doc(sample);
        let m = usize::from(sample.multiplier);
        if doc.is_dev() && trains(doc) && sample.multiplier != FIXED {
            dev[m] += f64::from(sample.price);
        } else if !doc.is_dev() {
            let (fixed, costs) = by_doc.entry(sample.doc).or_default();
            if sample.multiplier == FIXED {
                *fixed += f64::from(sample.price);
            } else {
                *costs.entry(m).or_default() += f64::from(sample.price);
            }
        }
    }
    let total: f64 = dev.iter().sum();
    by_doc.retain(|&doc, _| corpus.docs[doc as usize].tokens() >= 200.0);
    for _ in 0..40 {
        let (mut push, mut pull) = ([0.0; MULTIPLIERS], [1e-3; MULTIPLIERS]);
        for (doc, (fixed, costs)) in &by_doc {
            let tokens = corpus.docs[*doc as usize].tokens();
            let cost = fixed + costs.iter().map(|(&m, c)| c * exact[m] / 64.0).sum::<f64>();
            let short = 0.99 - cost / tokens;
            for (&m, c) in costs.iter().filter(|(m, _)| **m != 97) {
                let share = c / tokens;
                pull[m] += if short > 0.0 { share } else { f64::from(tune("PULL", 0.02)) * share };
                push[m] += share * short.max(0.0);
            }
        }
        for m in 0..MULTIPLIERS {
            let free = 1.0 / (1.0 + f64::from(tune("KEEP", 10000.0)) * dev[m] / total);
            exact[m] = (exact[m] * (1.0 + free * push[m] / pull[m])).min(220.0);
        }
    }
    for (stored, exact) in tables.multipliers.iter_mut().zip(exact) {
        *stored = exact.round() as u8;
    }
}

/// Estimate of every document with the given multipliers, in the counter's arithmetic.
fn estimate(corpus: &Corpus, tables: &Tables) -> Vec<f64> {
    let mut totals = vec![0_u64; corpus.docs.len()];
    for sample in &corpus.samples {
        totals[sample.doc as usize] += if sample.multiplier == FIXED {
            (sample.price * 1024.0) as u64
        } else {
            (sample.price * ONE as f32) as u64 * u64::from(tables.multipliers[sample.multiplier as usize])
        };
    }
    totals.iter().zip(corpus.docs).map(|(&t, d)| if d.text.is_empty() { 0.0 } else { ((t + 512) >> 10).max(1) as f64 }).collect()
}

/// A sorted sample's value at a fraction.
fn at(sorted: &[f64], fraction: f64) -> f64 {
    sorted.get(((sorted.len().max(1) - 1) as f64 * fraction) as usize).copied().unwrap_or(f64::NAN)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn print_conversations(docs: &[Doc], estimates: &[f64], halves: &[u8], title: &str) {
    // Per conversation: (estimate, real) per message, with 4 per message and 4 per call.
    let mut conversations: BTreeMap<(&str, &str), Vec<(f64, f64)>> = BTreeMap::new();
    let mut strings: HashMap<(&str, u32), u32> = HashMap::new();
    for (doc, &estimate) in docs.iter().zip(estimates) {
        if !doc.is_dev() || !halves.contains(&doc.half) {
            continue;
        }
        let messages = conversations.entry((&doc.kind, &doc.group)).or_default();
        let index = doc.index as usize;
        if messages.len() <= index {
            messages.resize(index + 1, (4.0, 4.0));
        }
        // After the content, strings come in pairs of a call's name and arguments.
        let nth = strings.entry((&doc.group, doc.index)).or_default();
        let overhead = if *nth % 2 == 1 { 4.0 } else { 0.0 };
        *nth += 1;
        messages[index].0 += estimate + overhead;
        messages[index].1 += doc.tokens() + overhead;
    }
    println!("\n## {title}\n\n| source | conversations | mean | min | max | prefixes under | worst prefix | runs | under | worst run | p1 | p50 | p99 |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut sources: Vec<&str> = conversations.keys().map(|k| k.0).collect();
    sources.dedup();
    let mut every = sources.clone();
    every.push("all");
    for source in every {
        let (mut whole, mut prefixes, mut runs) = (vec![], vec![], vec![]);
        for (_, messages) in conversations.iter().filter(|(k, _)| source == "all" || k.0 == source) {
            for start in 0..messages.len() {
                let (mut estimate, mut real) = (0.0, 0.0);
                for message in &messages[start..] {
                    estimate += message.0;
                    real += message.1;
                    if real >= 300.0 {
                        runs.push(estimate / real);
                        if start == 0 {
                            prefixes.push(estimate / real);
                        }
                    }
                }
                if start == 0 {
                    whole.push(estimate / real);
                }
            }
        }
        let under = |v: &[f64]| 100.0 * v.iter().filter(|&&r| r < 1.0).count() as f64 / v.len() as f64;
        let (whole, prefixes, runs) = (sorted(whole), sorted(prefixes), sorted(runs));
        println!(
            "| {} | {} | {:+.2} % | {:+.2} % | {:+.2} % | {:.2} % | {:+.2} % | {} | {:.3} % | {:+.2} % | {:.3} | {:.3} | {:.3} |",
            source.trim_start_matches("dev:"), whole.len(), 100.0 * (whole.iter().sum::<f64>() / whole.len() as f64 - 1.0),
            100.0 * (whole[0] - 1.0), 100.0 * (at(&whole, 1.0) - 1.0), under(&prefixes), 100.0 * (at(&prefixes, 0.0) - 1.0),
            runs.len(), under(&runs), 100.0 * (runs[0] - 1.0), at(&runs, 0.01), at(&runs, 0.5), at(&runs, 0.99)
        );
    }
    println!("\n| messages of | n | p1 | p5 | p50 | p95 | p99 |\n|---|---|---|---|---|---|---|");
    for (low, high, name) in [(0.0, 30.0, "under 30 tokens"), (30.0, 100.0, "30 to 99"), (100.0, 300.0, "100 to 299"), (300.0, 1e9, "300 and more"), (0.0, 1e9, "any size")] {
        let ratios = sorted(conversations.values().flatten().filter(|m| (low..high).contains(&m.1)).map(|m| m.0 / m.1).collect());
        println!("| {name} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} |", ratios.len(), at(&ratios, 0.01), at(&ratios, 0.05), at(&ratios, 0.5), at(&ratios, 0.95), at(&ratios, 0.99));
    }
}

fn print_kinds(docs: &[Doc], estimates: &[f64]) {
    let mut low: Vec<_> = docs.iter().zip(estimates).filter(|(d, _)| d.tokens() >= 200.0).map(|(d, e)| (e / d.tokens(), &d.kind, &d.group)).filter(|x| !x.1.starts_with("dev")).collect();
    low.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut seen = HashMap::new();
    for (r, k, g) in low {
        let n = seen.entry(k).or_insert(0);
        *n += 1;
        if r < 0.97 && *n <= 4 {
            eprintln!("low {r:.3} {k} {}", g.chars().rev().take(40).collect::<String>().chars().rev().collect::<String>());
        }
    }
    println!("\n## Kinds of text (documents of at least 200 tokens)\n\n| kind | documents | tokens | ratio | min | p5 | p50 | p95 | max | under 0.98 |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut kinds: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (doc, &estimate) in docs.iter().zip(estimates) {
        if doc.tokens() >= 200.0 {
            kinds.entry(doc.kind.clone()).or_default().push((estimate, doc.tokens()));
        }
    }
    for (kind, list) in kinds {
        let ratios = sorted(list.iter().map(|x| x.0 / x.1).collect());
        let (estimate, real) = list.iter().fold((0.0, 0.0), |a, x| (a.0 + x.0, a.1 + x.1));
        let under = ratios.iter().filter(|&&r| r < 0.98).count();
        println!("| {kind} | {} | {real:.0} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {under} |", list.len(), estimate / real,
            ratios[0], at(&ratios, 0.05), at(&ratios, 0.5), at(&ratios, 0.95), at(&ratios, 1.0));
    }
}

fn print_speed(docs: &[Doc]) {
    println!("\n| text | MB | MB/s |\n|---|---|---|");
    for (name, kinds) in [("prose", &["code:md", "code:rst"][..]), ("code", &["code:rs", "code:py", "code:js", "code:c"]), ("JSON", &["code:json", "json:pretty", "json:minified"]),
        ("CJK", &["udhr:cjk", "udhr:japanese", "po:cjk", "dev:crosswoz_zh"]), ("Cyrillic", &["udhr:cyrillic", "po:cyrillic"]), ("base64", &["syn:base64"]), ("conversations", &["dev:aider", "dev:specstory", "dev:tau_airline", "dev:toolathlon"])] {
        let texts: Vec<&str> = docs.iter().filter(|d| kinds.contains(&d.kind.as_str())).map(|d| d.text.as_str()).collect();
        let bytes: usize = texts.iter().map(|t| t.len()).sum();
        let best = (0..15).map(|_| {
            let start = std::time::Instant::now();
            let sum: u64 = texts.iter().map(|t| u64::from(Heuristic::count(t))).sum();
            std::hint::black_box(sum);
            start.elapsed().as_secs_f64()
        }).fold(f64::INFINITY, f64::min);
        println!("| {name} | {:.2} | {:.0} |", bytes as f64 / 1e6, bytes as f64 / 1e6 / best);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["fit", docs, out, ref rest @ ..] => {
            let held_out = rest.contains(&"--hold-out");
            let docs = load(docs);
            let trains = |doc: &Doc| !(held_out && doc.is_dev() && doc.half == 1);
            let mut tables = count_usual(&docs, held_out);
            tables.weights = fit_weights(&record(&docs, &tables), &trains);
            raise_prices(&docs, &mut tables, &trains);
            let corpus = record(&docs, &tables);
            tables.multipliers = fit_multipliers(&corpus, &trains);
            raise_multipliers(&corpus, &mut tables, &trains);
            std::fs::write(out, tables.bytes()).expect("write");
            let estimates = estimate(&corpus, &tables);
            if held_out {
                print_conversations(&docs, &estimates, &[0], "Half fitted on");
                print_conversations(&docs, &estimates, &[1], "Half held out");
            } else {
                print_conversations(&docs, &estimates, &[0, 1], "All conversations");
            }
            print_kinds(&docs, &estimates);
            eprintln!("multipliers {:?}", tables.multipliers);
        }
        ["report", docs] => {
            let docs = load(docs);
            let estimates: Vec<f64> = docs.iter().map(|d| f64::from(Heuristic::count(&d.text))).collect();
            print_conversations(&docs, &estimates, &[0, 1], "All conversations");
            print_kinds(&docs, &estimates);
            print_speed(&docs);
        }
        _ => eprintln!("usage: calibrate fit DOCS WEIGHTS [--hold-out] | calibrate report DOCS"),
    }
}
