//! What a host chooses.

use std::fmt;
use std::rc::Rc;

use js_sys::{Function, Promise};

/// What a host chooses of its database.
#[derive(Debug, Clone)]
pub struct IndexedDbOptions {
    /// Name of the database, `epitome` by default. Everybody who uses the same origin can see it.
    pub name: String,
    /// When a batch counts as written.
    pub durability: Durability,
    /// Whether to ask the browser, once it is open, never to make room with what is stored here. Some ask the user.
    pub persist: bool,
    /// What stands between the texts of records and the database, such as encryption.
    pub codec: Option<Codec>,
    /// How long a call waits for the database to open, milliseconds; 10,000 by default. It takes long when another tab holds on
    /// to an older form of it. Then the call fails as [blocked](crate::store::StoreErrorClass::Blocked).
    pub open_ms: f64,
    /// Stands between a promise and who awaits it.
    pub guard: Guard,
}

impl Default for IndexedDbOptions {
    fn default() -> Self {
        Self {
            name: "epitome".to_owned(),
            durability: Durability::default(),
            persist: false,
            codec: None,
            open_ms: 10_000.0,
            guard: Guard::default(),
        }
    }
}

/// When a batch counts as written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk. This is the default, because an append promises to be durable when it resolves; browsers
    /// themselves default to the other.
    #[default]
    Strict,
    /// When the operating system has it: it survives a crash of the browser, but not one of the machine.
    Relaxed,
}

impl Durability {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
        }
    }
}

/// Two functions of the host. Both may return promises. They are called before a transaction begins and after it has ended.
#[derive(Debug, Clone)]
pub struct Codec {
    /// From the text of a record to what is stored instead, a string or a `Uint8Array`.
    pub encode: Function,
    /// From what is stored to the text.
    pub decode: Function,
}

/// A function from a promise to one that settles in the same way, and never if there is nobody left to hear of it: after
/// the module has trapped. The default hands promises through.
#[derive(Clone)]
pub struct Guard(Rc<dyn Fn(Promise) -> Promise>);

impl Guard {
    /// This function; it must not throw.
    #[must_use]
    pub fn new(guard: impl Fn(Promise) -> Promise + 'static) -> Self {
        Self(Rc::new(guard))
    }

    pub(super) fn guarded(&self, promise: Promise) -> Promise {
        (self.0)(promise)
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(|promise| promise)
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Guard")
    }
}
