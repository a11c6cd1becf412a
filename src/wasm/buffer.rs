//! The memory that the shell writes a call's input into.
//!
//! A call *takes* the buffer and puts it back when done, so nothing is borrowed while the core runs: a token counter
//! may call Epitome again, and that inner call simply gets a buffer of its own.

use std::cell::RefCell;
use std::ops::Deref;

/// A larger buffer is freed after its call. Below that it is kept: getting 10 MB anew costs more than writing them.
const MAX_KEPT_BYTES: usize = 64 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes the buffer at least `bytes` long, keeping what is in it; returns its address.
pub(super) fn reserve(bytes: usize) -> *const u8 {
    BUFFER.with_borrow_mut(|buffer| {
        if let Some(more) = bytes.checked_sub(buffer.len()) {
            // Exact: the shell decides how far to grow ahead.
            buffer.reserve_exact(more);
            buffer.resize(bytes, 0);
        }
        buffer.as_ptr()
    })
}

/// The input of one call.
pub(super) struct Input {
    buffer: Vec<u8>,
    length: usize,
}

impl Input {
    /// Takes the first `length` bytes that the shell wrote.
    pub(super) fn take(length: usize) -> Self {
        Self { buffer: BUFFER.take(), length }
    }
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // A length beyond the buffer reads as an empty input, which no call accepts.
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        BUFFER.with_borrow_mut(|kept| {
            if buffer.len() <= MAX_KEPT_BYTES && buffer.len() > kept.len() {
                *kept = buffer;
            }
        });
    }
}
