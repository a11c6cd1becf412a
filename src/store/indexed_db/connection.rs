//! The connection to the database: opened when it is needed, shared, and given up when somebody else needs that.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use idb::event::{OpenDatabaseRequestEvent, VersionChangeEvent};
use idb::request::OpenDatabaseRequest;
use idb::{Database, DatabaseEvent as _, Event as _, Factory, Request as _};
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Event, IdbDatabase};

use super::options::{Guard, IndexedDbOptions};
use super::schema::{CONVERSATIONS, RECORDS, VERSION, corrupted, is_ours};
use super::waiting::{self, Settling};
use super::{errors, migrations};
use crate::store::{StoreError, StoreErrorClass};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = globalThis)]
    static GLOBAL: JsValue;
}

/// The connection of one store.
#[derive(Debug)]
pub(super) struct Connection {
    shared: Rc<Shared>,
    open_ms: f64,
    guard: Guard,
}

#[derive(Debug)]
struct Shared {
    name: String,
    persist: bool,
    state: RefCell<State>,
    /// The browser's answer to whether it keeps what is stored.
    persisted: RefCell<Option<Promise>>,
}

#[derive(Debug)]
enum State {
    Idle,
    Opening(Rc<Opening>),
    Open(IdbDatabase),
    Closed,
}

impl Connection {
    pub fn new(options: &IndexedDbOptions) -> Self {
        let shared = Shared {
            name: options.name.clone(),
            persist: options.persist,
            state: RefCell::new(State::Idle),
            persisted: RefCell::new(None),
        };
        Self { shared: Rc::new(shared), open_ms: options.open_ms, guard: options.guard.clone() }
    }

    /// The database. Several calls wait for the same opening, which goes on when none of them does any more.
    pub async fn open(&self) -> Result<IdbDatabase, StoreError> {
        let opening = match &*self.shared.state.borrow() {
            State::Open(database) => return Ok(database.clone()),
            State::Closed => return Err(StoreError::closed()),
            State::Opening(opening) => Some(Rc::clone(opening)),
            State::Idle => None,
        };
        let opening = opening.unwrap_or_else(|| Opening::begin(&self.shared));
        if opening.outcome.borrow().is_none() {
            waiting::within(self.open_ms, &opening.over.promise, &self.guard).await;
        }
        let outcome = opening.outcome.borrow().clone();
        outcome.unwrap_or_else(|| {
            let message = "the database does not open; another tab may hold on to it";
            Err(StoreError::new(StoreErrorClass::Blocked, message))
        })
    }

    /// Lets go of a connection that is of no use any more.
    pub fn forget(&self) {
        let mut state = self.shared.state.borrow_mut();
        if let State::Open(database) = &*state {
            database.close();
            *state = State::Idle;
        }
    }

    /// Lets go of it for good. Transactions that are under way end as they would have.
    pub fn close(&self) {
        if let State::Open(database) = self.shared.state.replace(State::Closed) {
            database.close();
        }
    }

    /// Whether the browser keeps what is stored.
    pub async fn persisted(&self) -> bool {
        let answer = self.shared.persisted.borrow().clone();
        let Some(answer) = answer.or_else(|| ask_storage(&["persisted"])) else { return false };
        let outcomes: Array = waiting::settled(answer, &self.guard).await.unchecked_into();
        get(&outcomes.get(0), "value").is_truthy()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// A database that is being opened.
#[derive(Debug)]
struct Opening {
    /// Holds what is called when the request is answered, and through that this here: until then.
    request: RefCell<Option<OpenDatabaseRequest>>,
    outcome: RefCell<Option<Result<IdbDatabase, StoreError>>>,
    over: Settling,
}

impl Opening {
    fn begin(shared: &Rc<Shared>) -> Rc<Self> {
        let opening = Rc::new(Self { request: RefCell::default(), outcome: RefCell::default(), over: Settling::new() });
        *shared.state.borrow_mut() = State::Opening(Rc::clone(&opening));
        opening.ask(&Rc::downgrade(shared), &shared.name, Some(VERSION));
        opening
    }

    /// Asks for the database in the form of this code; when it is of a newer one, in whatever form it has.
    fn ask(self: &Rc<Self>, shared: &Weak<Shared>, name: &str, version: Option<u32>) {
        let opened = factory().and_then(|factory| {
            factory.open(name, version).map_err(|error| errors::of_opening(&errors::thrown(error)))
        });
        let mut request = match opened {
            Ok(request) => request,
            Err(error) => return self.end(shared, Err(error)),
        };
        let asked = Rc::new(Asked {
            opening: Rc::clone(self),
            shared: Weak::clone(shared),
            name: name.to_owned(),
            version,
            failure: Cell::default(),
            lost: Cell::default(),
        });
        let [of_upgrade, of_success, of_error] = [Rc::clone(&asked), Rc::clone(&asked), asked];
        request.on_upgrade_needed(move |event| of_upgrade.upgrade(event));
        request.on_success(move |event| of_success.succeeded(&event));
        request.on_error(move |event| of_error.failed(&event.into()));
        // The one before is dropped, which may be the one that is being answered.
        drop(self.request.replace(Some(request)));
    }

    fn end(&self, shared: &Weak<Shared>, outcome: Result<IdbDatabase, StoreError>) {
        let outcome = match shared.upgrade() {
            Some(shared) => shared.opened(outcome),
            None => dismissed(outcome),
        };
        *self.outcome.borrow_mut() = Some(outcome);
        self.over.now();
        drop(self.request.take());
    }
}

/// What a request to open a database is answered with.
struct Asked {
    opening: Rc<Opening>,
    shared: Weak<Shared>,
    name: String,
    version: Option<u32>,
    /// Why an upgrade failed.
    failure: Cell<Option<JsValue>>,
    /// The browser has found what was stored damaged, and has deleted it.
    lost: Cell<bool>,
}

impl Asked {
    /// Brings a database to the form of this code, or leaves it as it is.
    fn upgrade(&self, event: VersionChangeEvent) {
        match upgraded(&event, self.version) {
            // Chromium says so; it would be an empty database like a new one else.
            Ok(()) => self.lost.set(get(&JsValue::from(event), "dataLoss") == "total"),
            Err(error) => {
                self.failure.set(Some(errors::thrown(error)));
                if let Some(transaction) = event.target().ok().and_then(|request| request.transaction()) {
                    // Refused when it has just ended by itself.
                    let _ = transaction.abort();
                }
            }
        }
    }

    fn succeeded(&self, event: &OpenDatabaseRequestEvent) {
        let database = event.database().map_err(errors::refused).and_then(checked);
        self.opening.end(&self.shared, database.and_then(|database| self.unless_lost(database)));
    }

    /// Said once: the next opening finds an empty database, and goes on with that.
    fn unless_lost(&self, database: IdbDatabase) -> Result<IdbDatabase, StoreError> {
        if !self.lost.get() {
            return Ok(database);
        }
        database.close();
        let message =
            "the browser has found what was stored damaged, and has deleted all of it; the next call begins anew";
        Err(StoreError::new(StoreErrorClass::Evicted, message))
    }

    fn failed(&self, event: &Event) {
        // Or some browsers report it as an error of nobody's.
        event.prevent_default();
        let exception = event.target().map_or(JsValue::UNDEFINED, |request| get(&request, "error"));
        let again = match (self.version, errors::name(&exception).as_str()) {
            (Some(_), "VersionError") => None,
            // It was deleted between the two.
            (None, "AbortError") => Some(VERSION),
            _ => {
                let error = errors::of_opening(&self.failure.take().unwrap_or(exception));
                return self.opening.end(&self.shared, Err(error));
            }
        };
        self.opening.ask(&self.shared, &self.name, again);
    }
}

impl Shared {
    /// Takes the outcome of an opening: a failure is forgotten, so that the next call tries again.
    fn opened(&self, outcome: Result<IdbDatabase, StoreError>) -> Result<IdbDatabase, StoreError> {
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Closed) {
            return dismissed(outcome);
        }
        *state = match &outcome {
            Ok(database) => State::Open(database.clone()),
            Err(_) => State::Idle,
        };
        if outcome.is_ok() && self.persist && self.persisted.borrow().is_none() {
            // Not to be asked for in workers.
            *self.persisted.borrow_mut() = ask_storage(&["persist", "persisted"]);
        }
        outcome
    }
}

/// Nobody wants it any more.
fn dismissed(outcome: Result<IdbDatabase, StoreError>) -> Result<IdbDatabase, StoreError> {
    if let Ok(database) = outcome {
        database.close();
    }
    Err(StoreError::closed())
}

fn upgraded(event: &VersionChangeEvent, asked: Option<u32>) -> Result<(), idb::Error> {
    // Asked for in whatever form it had, it is not there any more; and now there is an empty one that has no form.
    asked.ok_or(idb::Error::EventTargetNotFound)?;
    migrations::run(&event.database()?, event.old_version()?)
}

/// The database, if this code can work on it, ready to make way for others.
fn checked(open: Database) -> Result<IdbDatabase, StoreError> {
    let version = open.version().map_err(errors::refused)?;
    let names = open.store_names();
    let database = IdbDatabase::from(open);
    // Called by the platform itself, so that a tab whose module has trapped holds nobody up.
    let close = get(&database, "close").unchecked_into::<Function>().bind0(&database);
    database.set_onversionchange(Some(&close));
    let problem = if !is_ours(version) {
        let message = format!(
            "the database has version {version}, but this version of Epitome reads those below {}",
            (VERSION / 1_000 + 1) * 1_000
        );
        StoreError::new(StoreErrorClass::Newer, message)
    } else if [CONVERSATIONS, RECORDS].iter().all(|ours| names.iter().any(|name| name == ours)) {
        return Ok(database);
    } else {
        corrupted("the database is not one of Epitome's")
    };
    database.close();
    Err(problem)
}

fn factory() -> Result<Factory, StoreError> {
    // Firefox throws where storage is not allowed.
    let factory = GLOBAL.with(|global| Reflect::get(global, &"indexedDB".into()));
    let factory = factory.map_err(|thrown| errors::of_opening(&thrown))?;
    Factory::try_from(factory).map_err(|_| errors::missing())
}

/// Asks `navigator.storage` the first of these questions that it knows: the answer, as `Promise.allSettled` puts it.
fn ask_storage(questions: &[&str]) -> Option<Promise> {
    let storage = GLOBAL.with(|global| get(&get(global, "navigator"), "storage"));
    let question = questions.iter().find_map(|name| get(&storage, name).dyn_into::<Function>().ok())?;
    let answer = question.call0(&storage).ok()?;
    Some(Promise::all_settled(&Array::of1(&answer)))
}

/// A property, `undefined` of what has none.
fn get(value: &JsValue, name: &str) -> JsValue {
    Reflect::get(value, &name.into()).unwrap_or_default()
}
