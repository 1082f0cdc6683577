//! The workers themselves, as the page holds them: started when needed, ended at once, replaced when they die.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Reflect};
use serde::Serialize;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ErrorEvent, MessageChannel, MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::io;
use crate::protocol::Event;
use crate::wire::{self, Hello, Inject, Role, ToDesk};

/// A worker's first lines, beside the page.
const FIRST_LINES: &str = "./worker.js";
/// What the page's document says of its program's JavaScript, whose name trunk ends with a hash.
const GLUE: &str = r#"link[rel="modulepreload"][href*="merge-studio-page"]"#;
/// More workers than this wait for the disk, not for each other.
const MOST: u32 = 8;
/// GiB of the machine's memory for each compute worker, where the browser tells.
const MEMORY_EACH: f64 = 0.5;
/// Workers that die more often than this in one page are not replaced: something is broken for good.
const DEATHS: u32 = 5;

/// Which worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one at the desk.
    Desk,
    /// A compute worker, by its number.
    Compute(u32),
}

type OnMessage = dyn Fn(Event, JsValue);
type OnDeath = dyn Fn(Who, String);
type Computes = Vec<(u32, Rc<Member>)>;
type Letter = Box<dyn FnOnce(&Worker)>;

/// A worker and what waits until its program has loaded.
struct Member {
    worker: Worker,
    /// `None` once it has loaded.
    waiting: RefCell<Option<Vec<Letter>>>,
}

/// All workers of the page.
pub struct Crew {
    on_message: Rc<OnMessage>,
    on_death: Rc<OnDeath>,
    session: String,
    size: u32,
    inject: Option<Inject>,
    desk: RefCell<Option<Rc<Member>>>,
    computes: Rc<RefCell<Computes>>,
    numbers: Cell<u32>,
    deaths: Rc<Cell<u32>>,
}

impl Crew {
    /// Starts the desk and the compute worker that tries WebGPU; the others come with the first plan that can be run.
    pub fn start(on_message: impl Fn(Event, JsValue) + 'static, on_death: impl Fn(Who, String) + 'static) -> Self {
        let query = web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default();
        let crew = Self {
            on_message: Rc::new(on_message),
            on_death: Rc::new(on_death),
            session: io::new_session(),
            size: size(),
            inject: Inject::from_query(&query),
            desk: RefCell::default(),
            computes: Rc::default(),
            numbers: Cell::new(0),
            deaths: Rc::default(),
        };
        crew.new_desk();
        crew.call_first();
        crew
    }

    /// Starts a desk, in the place of one that died.
    pub fn new_desk(&self) {
        if self.deaths.get() > DEATHS {
            return;
        }
        let role = Role::Desk { session: self.session.clone(), workers: self.size };
        let member = self.member(Who::Desk, role, None);
        if let Some(old) = self.desk.replace(member) {
            old.worker.terminate();
        }
    }

    /// Sends the desk a message.
    pub fn tell_desk(&self, message: ToDesk, beside: Option<JsValue>, transfer: Option<JsValue>) {
        if let Some(desk) = &*self.desk.borrow() {
            desk.send(message, beside, transfer);
        }
    }

    /// Sees to it that there is a worker that tries WebGPU.
    pub fn call_first(&self) {
        if self.computes.borrow().is_empty() {
            self.call(true);
        }
    }

    /// Sees to it that all compute workers are there.
    pub fn call_everyone(&self) {
        self.call_first();
        while self.deaths.get() <= DEATHS && (self.computes.borrow().len() as u32) < self.size {
            if !self.call(false) {
                break;
            }
        }
    }

    /// Ends every compute worker, in the middle of whatever it does.
    pub fn dismiss(&self) {
        let computes = std::mem::take(&mut *self.computes.borrow_mut());
        for (_, member) in &computes {
            member.worker.terminate();
        }
        self.tell_desk(ToDesk::Dismissed, None, None);
    }

    fn call(&self, gpu: bool) -> bool {
        if self.deaths.get() > DEATHS {
            return false;
        }
        let Ok(channel) = MessageChannel::new() else { return false };
        let number = self.numbers.get() + 1;
        self.numbers.set(number);
        let Some(member) = self.member(Who::Compute(number), Role::Compute { gpu }, Some(channel.port1().into()))
        else {
            return false;
        };
        self.computes.borrow_mut().push((number, member));
        let port: JsValue = channel.port2().into();
        self.tell_desk(ToDesk::Compute { number, gpu }, Some(port.clone()), Some(port));
        true
    }

    /// Starts a worker; `None`, and a death, where the browser has none.
    fn member(&self, who: Who, role: Role, port: Option<JsValue>) -> Option<Rc<Member>> {
        let worker = match glue().and_then(|glue| start(&glue, &wasm_bindgen::module())) {
            Ok(worker) => worker,
            Err(error) => {
                self.deaths.set(DEATHS + 1);
                (self.on_message)(Event::Crashed { message: wire::words(&error) }, JsValue::NULL);
                return None;
            }
        };
        let member = Rc::new(Member { worker, waiting: RefCell::new(Some(Vec::new())) });
        member.send(Hello { role, inject: self.inject }, port.clone(), port);
        let die: Rc<dyn Fn(String)> = {
            let (computes, deaths, on_death) = (self.computes.clone(), self.deaths.clone(), self.on_death.clone());
            let member = Rc::downgrade(&member);
            Rc::new(move |message| {
                let Some(member) = member.upgrade() else { return };
                member.worker.set_onmessage(None);
                member.worker.set_onerror(None);
                member.worker.terminate();
                if let Who::Compute(number) = who {
                    computes.borrow_mut().retain(|(each, _)| *each != number);
                }
                deaths.set(deaths.get() + 1);
                on_death(who, message);
            })
        };
        let on_message = {
            let (heard, die) = (self.on_message.clone(), die.clone());
            let member = Rc::downgrade(&member);
            Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
                if event.data().is_null() {
                    if let Some(member) = member.upgrade() {
                        member.loaded();
                    }
                    return;
                }
                match wire::parse::<Event>(&event.data()) {
                    Some((Event::Crashed { message }, _)) => die(message),
                    Some((event, beside)) => heard(event, beside),
                    None => {}
                }
            })
        };
        let on_error = Closure::<dyn Fn(ErrorEvent)>::new(move |event: ErrorEvent| die(last_words(&event)));
        member.worker.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        member.worker.set_onerror(Some(on_error.into_js_value().unchecked_ref()));
        Some(member)
    }
}

impl Member {
    fn send(&self, message: impl Serialize + 'static, beside: Option<JsValue>, transfer: Option<JsValue>) {
        let letter = move |worker: &Worker| wire::post(worker, &message, beside.as_ref(), transfer.as_ref());
        match &mut *self.waiting.borrow_mut() {
            Some(waiting) => waiting.push(Box::new(letter)),
            None => letter(&self.worker),
        }
    }

    fn loaded(&self) {
        for letter in self.waiting.take().into_iter().flatten() {
            letter(&self.worker);
        }
    }
}

/// The address of this very program's JavaScript.
fn glue() -> Result<JsValue, JsValue> {
    said_by_document(GLUE, "href")
}

/// What an element of the page's document has as its property `name`.
pub fn said_by_document(selector: &str, name: &str) -> Result<JsValue, JsValue> {
    web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.query_selector(selector).ok().flatten())
        .and_then(|element| Reflect::get(&element, &name.into()).ok())
        .ok_or_else(|| JsValue::from(format!("the page has no {selector}")))
}

/// Starts a worker whose program is behind `glue`: the compiled `module`, which is fetched where that is undefined.
pub fn start(glue: &JsValue, module: &JsValue) -> Result<Worker, JsValue> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let worker = Worker::new_with_options(FIRST_LINES, &options)?;
    worker.post_message(&Array::of2(glue, module))?;
    Ok(worker)
}

/// What a worker died of.
pub fn last_words(event: &ErrorEvent) -> String {
    // A program that could not be fetched gives an event without a message.
    let message = Reflect::get(event, &"message".into()).ok().and_then(|message| message.as_string());
    message.unwrap_or_else(|| format!("{FIRST_LINES} could not be loaded"))
}

/// How many compute workers a merge gets.
fn size() -> u32 {
    let Some(navigator) = web_sys::window().map(|window| window.navigator()) else { return 1 };
    let cores = navigator.hardware_concurrency() as u32;
    let by_memory = device_memory().map_or(MOST, |memory| (memory / MEMORY_EACH) as u32);
    cores.min(by_memory).clamp(1, MOST)
}

/// GiB of the machine's memory, about. Only some browsers tell, and only in a secure context.
pub fn device_memory() -> Option<f64> {
    let navigator = web_sys::window()?.navigator();
    Reflect::get(&navigator, &"deviceMemory".into()).ok()?.as_f64()
}
