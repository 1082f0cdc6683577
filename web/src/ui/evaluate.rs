//! The Evaluate view, as the page holds it: a program of its own (`web/examiner`), fetched when the view is first opened.
//!
//! It draws beside the page, not within: two programs that listen to one element's events would answer for each other.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::HtmlElement;
use yew::Callback;

use super::words;
use super::yaml::import_module;
use crate::{crew, wire};

/// Where the page's document says what the program's JavaScript is called; the build ends the name with a hash.
const PROGRAM: &str = r#"meta[name="merge-studio-examiner"]"#;
/// What it draws into.
const HOST: &str = "evaluate";

#[wasm_bindgen]
extern "C" {
    /// What the program exports.
    type Program;

    #[wasm_bindgen(method, catch, js_name = default)]
    fn start(this: &Program) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method)]
    fn show(this: &Program, host: &HtmlElement, models: &Array, recipe: &Array, set_recipe: &Function);

    #[wasm_bindgen(method)]
    fn take(this: &Program, files: &Array);
}

/// The view, loaded or not.
pub struct Evaluate {
    program: Rc<RefCell<Loading>>,
    /// Given before the program was there: arrays of files that came together.
    early: Array,
    set_recipe: Function,
}

/// What the view is told: the models that there are, each a name, the paths of its files, and the files; and the recipe.
type Told = (Array, Array);

/// How far the program is, and what waits for it.
#[derive(Default)]
enum Loading {
    #[default]
    Not,
    Waiting(Told),
    Loaded(Program),
}

impl Evaluate {
    /// The view, not loaded. `set_recipe` takes a recipe's text from it.
    pub fn new(set_recipe: Callback<String>) -> Self {
        let set_recipe = Closure::<dyn Fn(String)>::new(move |text| set_recipe.emit(text));
        Self { program: Rc::default(), early: Array::new(), set_recipe: set_recipe.into_js_value().unchecked_into() }
    }

    /// Hides the view, or shows it.
    pub fn show(&self, told: Option<Told>) {
        let Some(host) = host() else { return };
        host.set_hidden(told.is_none());
        let Some(told) = told else { return };
        let mut loading = self.program.borrow_mut();
        match &*loading {
            Loading::Loaded(program) => program.show(&host, &told.0, &told.1, &self.set_recipe),
            Loading::Waiting(_) => *loading = Loading::Waiting(told),
            Loading::Not => {
                *loading = Loading::Waiting(told);
                host.set_text_content(Some(words::LOADING_EVALUATE));
                let (waiting, early, set_recipe) = (self.program.clone(), self.early.clone(), self.set_recipe.clone());
                spawn_local(async move {
                    let loaded = load().await;
                    let Loading::Waiting((models, recipe)) = waiting.take() else { return };
                    match loaded {
                        Ok(program) => {
                            program.show(&host, &models, &recipe, &set_recipe);
                            early.iter().for_each(|files| program.take(files.unchecked_ref()));
                            early.set_length(0);
                            waiting.replace(Loading::Loaded(program));
                        }
                        // The next time that the view is opened it is tried again.
                        Err(error) => host.set_text_content(Some(&words::no_evaluate(&wire::words(&error)))),
                    }
                });
            }
        }
    }

    /// Gives files to the view: tasks. Where it is not loaded it gets them once it is.
    pub fn take(&self, files: &Array) {
        match &*self.program.borrow() {
            Loading::Loaded(program) => program.take(files),
            _ => drop(self.early.push(files)),
        }
    }
}

async fn load() -> Result<Program, JsValue> {
    let path = crew::said_by_document(PROGRAM, "content")?;
    let program = JsFuture::from(import_module(&path.as_string().unwrap_or_default())).await?;
    let program: Program = program.unchecked_into();
    JsFuture::from(program.start()?).await?;
    Ok(program)
}

fn host() -> Option<HtmlElement> {
    gloo::utils::document().get_element_by_id(HOST)?.dyn_into().ok()
}
