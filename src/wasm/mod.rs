//! The border to JavaScript. No logic: what the shell wrote is decoded, the core is called, the result is handed out.
//!
//! The whole input of a call crosses as one flat buffer in wasm memory (see [`wire`]); results cross as JSON text that
//! the engine makes objects of (see [`outward`]). `docs/border.md` has the measurements behind both.

// Plain Rust, tested natively and used by the border alone.
#[cfg(any(target_family = "wasm", test))]
#[cfg(any(target_family = "wasm", test))]
mod records;
#[cfg(any(target_family = "wasm", test))]
mod wire;

#[cfg(target_family = "wasm")]
mod buffer;
#[cfg(target_family = "wasm")]
mod counter;
#[cfg(target_family = "wasm")]
pub mod exports;
#[cfg(target_family = "wasm")]
pub(crate) mod outward;
#[cfg(all(target_family = "wasm", feature = "session"))]
pub(crate) mod session;

#[cfg(all(target_family = "wasm", feature = "border-bench"))]
mod bench;
