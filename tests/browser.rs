//! The module in a browser: the golden files through the Rust API, and the border to JavaScript called as the shell
//! calls it. (The shell itself is tested in Node and workerd, and in Chromium by the packaging tests.)
#![cfg(target_family = "wasm")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]
// A call's input is written into wasm memory by address, as the shell does it.
#![allow(unsafe_code)]

use epitome::border;
use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::{Closure, JsValue, wasm_bindgen};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

#[path = "golden/check.rs"]
mod check;

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn the_golden_answers_are_the_same_here() {
    for case in check::CASES {
        check::check(*case);
    }
}

// ---------------------------------------------------------------------------------------------------------- the border

fn send(input: &[u8]) -> usize {
    let address = border::input_reserve(input.len()).cast_mut();
    // SAFETY: the module has just reserved that many bytes there, and nothing else runs meanwhile.
    unsafe { std::ptr::copy_nonoverlapping(input.as_ptr(), address, input.len()) };
    input.len()
}

fn size(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("small").to_le_bytes()
}

fn string(text: &str) -> Vec<u8> {
    [&[4][..], &size(text.len()), text.as_bytes()].concat()
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [&[5][..], &size(items.len()), &items.concat()].concat()
}

const NULL: u8 = 0;

/// Messages of the user, the first one with both keys spelled out.
fn messages(texts: &[&str]) -> Vec<u8> {
    let message = |(index, text): (usize, &&str)| {
        let key = |id: usize, name: &str| {
            let spelled = if index == 0 { [&size(name.len())[..], name.as_bytes()].concat() } else { Vec::new() };
            [&size(id)[..], &spelled].concat()
        };
        [vec![6], size(2).to_vec(), key(0, "role"), string("user"), key(1, "content"), string(text)].concat()
    };
    array(&texts.iter().enumerate().map(message).collect::<Vec<_>>())
}

/// `{ budget }`, with the id that the key gets after those of the messages.
fn options(budget: f64, next_key: usize) -> Vec<u8> {
    let key = [&size(next_key)[..], &size(6), b"budget"].concat();
    [vec![6], size(1).to_vec(), key, vec![3], budget.to_le_bytes().to_vec()].concat()
}

fn fit_input(texts: &[&str], budget: f64) -> Vec<u8> {
    let keys = if texts.is_empty() { 0 } else { 2 };
    array(&[messages(texts), vec![NULL], vec![NULL], options(budget, keys), vec![NULL]])
}

fn get(value: &JsValue, path: &str) -> JsValue {
    path.split('.').fold(value.clone(), |value, key| Reflect::get(&value, &key.into()).expect("an object"))
}

fn code(error: &JsValue) -> String {
    get(error, "code").as_string().expect("a code")
}

fn counter(count: impl FnMut(String) -> JsValue + 'static) -> Function {
    Closure::<dyn FnMut(String) -> JsValue>::new(count).into_js_value().into()
}

#[wasm_bindgen_test]
fn a_fit_answers_with_report_patch_and_recipe() {
    let answer = border::fit(send(&fit_input(&["hello", "é語😀"], 1000.0)), None).expect("it fits");
    assert_eq!(get(&answer, "report.format"), JsValue::from("openai-chat"));
    assert_eq!(get(&answer, "report.messagesAfter"), JsValue::from(2));
    // What JSON has as null is null here, and what it leaves out is not there.
    assert!(get(&answer, "report.firstChangedIndex").is_null());
    assert!(!Reflect::has(&get(&answer, "report"), &"summary".into()).expect("an object"));
    assert_eq!(get(&answer, "patch.view.layout.0.1"), JsValue::from(2));
    assert_eq!(get(&answer, "recipe.items.0.1"), JsValue::from(2));
}

#[wasm_bindgen_test]
fn damaged_inputs_are_refused_and_harm_nothing() {
    let whole = fit_input(&["hello", "again"], 1000.0);
    for end in 0..whole.len() {
        let error = border::fit(send(&whole[..end]), None).expect_err("half an input");
        assert_eq!(code(&error), "internal");
    }
    let odd: [&[u8]; 5] =
        [&[9], &[5, 255, 255, 255, 255], &[4, 1, 0, 0, 0, 0xFF], &[7, 9, 0, 0, 0, 0], &[5, 0, 0, 0, 0, 0]];
    for input in odd {
        assert_eq!(code(&border::validate(send(input)).expect_err("an odd input")), "internal");
    }
    // A length that was never reserved.
    assert_eq!(code(&border::fit(usize::MAX, None).expect_err("no such input")), "internal");
    assert!(border::fit(send(&whole), None).is_ok());
}

#[wasm_bindgen_test]
fn errors_of_the_core_arrive_with_code_message_and_details() {
    let error = border::fit(send(&fit_input(&["hello"], 0.0)), None).expect_err("no budget");
    assert_eq!(code(&error), "invalid_option");
    assert_eq!(get(&error, "details.option"), JsValue::from("budget"));
    assert!(get(&error, "message").as_string().expect("a message").contains("budget"));
    let error = border::fit(send(&fit_input(&["a text of several words"], 1.0)), None).expect_err("too small");
    assert_eq!(code(&error), "irreducible_budget");
    assert_eq!(get(&error, "details.limit"), JsValue::from(1));
}

#[wasm_bindgen_test]
fn a_counter_of_the_host_is_asked_once_per_text() {
    let asked = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = std::rc::Rc::clone(&asked);
    let counter = counter(move |text| {
        seen.borrow_mut().push(text);
        JsValue::from(7)
    });
    let answer = border::fit(send(&fit_input(&["twice", "once", "twice"], 1000.0)), Some(counter)).expect("it fits");
    let mut texts = asked.borrow().clone();
    texts.sort();
    // The first is always the same: it tells one counter from another.
    assert!(texts.first().is_some_and(|text| text.starts_with("Probe: ")), "{texts:?}");
    assert_eq!(texts.get(1..), Some(&["once".to_owned(), "twice".to_owned()][..]));
    assert!(get(&answer, "report.before").as_f64().expect("a number") >= 21.0);
}

#[wasm_bindgen_test]
fn a_counter_that_gives_no_count_is_refused() {
    let odd = [JsValue::from(-1), JsValue::from(f64::NAN), JsValue::from("7"), JsValue::UNDEFINED, JsValue::from(1e30)];
    for answer in odd {
        let counter = counter(move |_| answer.clone());
        let error = border::fit(send(&fit_input(&["hello"], 1000.0)), Some(counter)).expect_err("no count");
        assert_eq!(code(&error), "invalid_option");
        assert_eq!(get(&error, "details.option"), JsValue::from("tokens"));
    }
}

#[wasm_bindgen(inline_js = "export function thrower() { return () => { throw new Error('no such model'); }; }")]
extern "C" {
    fn thrower() -> Function;
}

#[wasm_bindgen_test]
fn a_counter_that_throws_is_refused() {
    let error = border::fit(send(&fit_input(&["hello"], 1000.0)), Some(thrower())).expect_err("it throws");
    assert_eq!(code(&error), "invalid_option");
    assert!(border::fit(send(&fit_input(&["hello"], 1000.0)), None).is_ok());
}

#[wasm_bindgen_test]
fn a_counter_may_call_the_module_again() {
    let nested = counter(|text| {
        let long = "a nested input that is longer than the outer one ".repeat(1_000);
        let inner = array(&[string(&long), vec![NULL]]);
        let count = border::count(send(&inner), None).expect("a count");
        assert!(count.as_f64().expect("a number") > 1_000.0);
        JsValue::from(text.len())
    });
    let texts = ["first", "second", "third"];
    let answer = border::fit(send(&fit_input(&texts, 1000.0)), Some(nested)).expect("it fits");
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    assert!(
        get(&answer, "report.before").as_f64().expect("a number") >= f64::from(u32::try_from(bytes).expect("small"))
    );
}
