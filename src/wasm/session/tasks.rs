//! Calls that wait. The shell drives them: it polls a task when the task says that it can go on, so that whatever goes
//! wrong while one runs is caught there (and not in a microtask of nobody's).

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::wasm::outward::Failure;
use crate::wasm::session::host::Host;

type Running = Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>;

struct Task {
    number: u32,
    host: Host,
    /// Taken out while it is polled, so that nothing is borrowed then.
    running: Option<Running>,
}

thread_local! {
    static TASKS: RefCell<(u32, Vec<Task>)> = const { RefCell::new((0, Vec::new())) };
}

/// Keeps a task until it is done; returns its number. It does not run before it is polled.
pub(super) fn begin(host: Host, running: Running) -> u32 {
    TASKS.with_borrow_mut(|(last, tasks)| {
        *last = last.wrapping_add(1);
        tasks.push(Task { number: *last, host, running: Some(running) });
        *last
    })
}

/// Lets a task go on: `undefined` while it waits, else a list of its one result. A task that does not exist waits.
#[wasm_bindgen]
pub fn task_poll(number: u32) -> Result<JsValue, JsValue> {
    let taken = TASKS.with_borrow_mut(|(_, tasks)| find(tasks, number).and_then(|task| task.running.take()));
    let Some(mut running) = taken else { return Ok(JsValue::UNDEFINED) };
    let waker = Waker::from(Arc::new(Awakening(number)));
    match running.as_mut().poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(result) => {
            task_drop(number);
            result.map(|value| js_sys::Array::of1(&value).into()).map_err(JsValue::from)
        }
        Poll::Pending => {
            // A task that was dropped while it ran is not put back.
            let late = TASKS.with_borrow_mut(|(_, tasks)| match find(tasks, number) {
                Some(task) => {
                    task.running = Some(running);
                    None
                }
                None => Some(running),
            });
            drop(late);
            Ok(JsValue::UNDEFINED)
        }
    }
}

/// Gives a task up: whatever it waits for is closed.
#[wasm_bindgen]
pub fn task_drop(number: u32) {
    // Dropped outside of the borrow: a task closes its scopes, and the shell hears of it.
    let dropped = TASKS.with_borrow_mut(|(_, tasks)| {
        let at = tasks.iter().position(|task| task.number == number)?;
        Some(tasks.swap_remove(at))
    });
    drop(dropped);
}

/// How many tasks there are.
#[wasm_bindgen]
#[must_use]
pub fn task_count() -> usize {
    TASKS.with_borrow(|(_, tasks)| tasks.len())
}

fn find(tasks: &mut [Task], number: u32) -> Option<&mut Task> {
    tasks.iter_mut().find(|task| task.number == number)
}

/// Tells the shell that a task can go on.
struct Awakening(u32);

impl Wake for Awakening {
    fn wake(self: Arc<Self>) {
        let Self(number) = *self;
        let host = TASKS.with_borrow_mut(|(_, tasks)| find(tasks, number).map(|task| task.host.clone()));
        if let Some(host) = host {
            host.wake();
        }
    }
}
