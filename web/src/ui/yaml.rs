//! The YAML tab: the CodeMirror editor of `web/editor`, fetched when the tab first opens; a plain field where it can't be had.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{JSON, Promise};
use merge_studio::recipe::{Checked, MethodInfo, Severity};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use yew::prelude::*;

use super::complete::complete;
use super::shared::Shared;
use super::state::Action;
use super::words::recipe as words;

/// The editor's bundle, relative to the page.
const MODULE: &str = "editor.js";

#[wasm_bindgen(
    inline_js = "export function importModule(path) { return import(new URL(path, document.baseURI).href); }"
)]
extern "C" {
    #[wasm_bindgen(js_name = importModule)]
    pub fn import_module(path: &str) -> Promise;
}

#[wasm_bindgen]
extern "C" {
    /// What `editor.js` exports.
    type Module;
    /// One editor.
    type Editor;

    #[wasm_bindgen(method)]
    fn create(
        this: &Module,
        parent: &web_sys::Element,
        text: &str,
        label: &str,
        on_change: &Closure<dyn Fn(String, bool)>,
        complete: &Closure<dyn Fn(String, usize, usize) -> JsValue>,
        on_fix: &Closure<dyn Fn(usize)>,
    ) -> Editor;

    #[wasm_bindgen(method, js_name = setDoc)]
    fn set_doc(this: &Editor, text: &str);

    #[wasm_bindgen(method, js_name = setDiagnostics)]
    fn set_diagnostics(this: &Editor, problems: &JsValue);

    #[wasm_bindgen(method, js_name = goTo)]
    fn go_to(this: &Editor, line: usize, column: usize);

    #[wasm_bindgen(method)]
    fn destroy(this: &Editor);
}

/// Properties of [`Yaml`].
#[derive(Properties, PartialEq)]
pub struct YamlProps {
    /// The recipe.
    pub text: String,
    /// What the linter says of it.
    pub checked: Shared<Checked>,
    /// What methods there are, for completion.
    pub methods: Shared<Vec<MethodInfo>>,
    /// Names of the loaded models, for completion.
    pub models: Vec<String>,
    /// A place to go to; a new number is a new wish.
    pub go_to: Option<(u32, usize, usize)>,
    /// Where edits go.
    pub act: Callback<Action>,
}

/// The editor and what it is called back with.
pub struct Yaml {
    parent: NodeRef,
    loading: Loading,
    known: Rc<RefCell<Known>>,
    on_change: Closure<dyn Fn(String, bool)>,
    on_complete: Closure<dyn Fn(String, usize, usize) -> JsValue>,
    on_fix: Closure<dyn Fn(usize)>,
    gone_to: Option<u32>,
}

enum Loading {
    Waiting,
    Ready(Editor),
    Failed,
}

/// What completion knows.
struct Known {
    methods: Shared<Vec<MethodInfo>>,
    models: Vec<String>,
}

/// The bundle came or did not.
pub struct Loaded(Option<JsValue>);

/// A problem as the editor takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    severity: &'static str,
    message: String,
    fix: Option<String>,
}

impl Component for Yaml {
    type Message = Loaded;
    type Properties = YamlProps;

    fn create(ctx: &Context<Self>) -> Self {
        let props = ctx.props();
        let loaded = ctx.link().callback(Loaded);
        spawn_local(async move { loaded.emit(JsFuture::from(import_module(MODULE)).await.ok()) });
        let known = Rc::new(RefCell::new(Known { methods: props.methods.clone(), models: props.models.clone() }));
        let (change, fix, offers) = (props.act.clone(), props.act.clone(), known.clone());
        Self {
            parent: NodeRef::default(),
            loading: Loading::Waiting,
            known,
            on_change: Closure::new(move |text: String, pasted: bool| {
                change.emit(if pasted { Action::Given(text) } else { Action::Typed(text) });
            }),
            on_complete: Closure::new(move |text: String, line: usize, column: usize| {
                let known = offers.borrow();
                to_js(&complete(&text, line, column, &known.methods, &known.models))
            }),
            on_fix: Closure::new(move |at: usize| fix.emit(Action::Fix(at))),
            gone_to: None,
        }
    }

    fn update(&mut self, ctx: &Context<Self>, Loaded(module): Self::Message) -> bool {
        let parent = self.parent.cast::<web_sys::Element>();
        self.loading = match (module, parent) {
            (Some(module), Some(parent)) => {
                let module: Module = module.unchecked_into();
                let text = &ctx.props().text;
                Loading::Ready(module.create(
                    &parent,
                    text,
                    words::EDITOR,
                    &self.on_change,
                    &self.on_complete,
                    &self.on_fix,
                ))
            }
            _ => Loading::Failed,
        };
        self.show(ctx.props());
        true
    }

    fn changed(&mut self, ctx: &Context<Self>, _: &Self::Properties) -> bool {
        let props = ctx.props();
        *self.known.borrow_mut() = Known { methods: props.methods.clone(), models: props.models.clone() };
        self.show(props);
        matches!(self.loading, Loading::Failed)
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let typed = ctx.props().act.reform(|event: InputEvent| {
            Action::Typed(event.target_unchecked_into::<web_sys::HtmlTextAreaElement>().value())
        });
        html! {
            <div class="editor">
                <div ref={self.parent.clone()} class="editor-host" />
                { match self.loading {
                    Loading::Ready(_) => html! {},
                    Loading::Waiting => html! { <p class="aside">{ words::EDITOR_LOADING }</p> },
                    Loading::Failed => html! {
                        <>
                            <p class="note">{ words::EDITOR_MISSING }</p>
                            <textarea aria-label={words::EDITOR} rows="18" spellcheck="false" value={ctx.props().text.clone()} oninput={typed} />
                        </>
                    },
                } }
            </div>
        }
    }

    fn destroy(&mut self, _: &Context<Self>) {
        if let Loading::Ready(editor) = &self.loading {
            editor.destroy();
        }
    }
}

impl Yaml {
    /// Brings text, problems and caret up to date.
    fn show(&mut self, props: &YamlProps) {
        let Loading::Ready(editor) = &self.loading else { return };
        editor.set_doc(&props.text);
        let marks: Vec<Mark> = props
            .checked
            .problems
            .iter()
            .map(|problem| Mark {
                line: problem.span.line,
                column: problem.span.column,
                end_line: problem.span.end_line,
                end_column: problem.span.end_column,
                severity: if problem.severity == Severity::Error { "error" } else { "warning" },
                message: words::problem(problem),
                fix: problem.fix.as_ref().map(|fix| fix.kind.to_string()),
            })
            .collect();
        editor.set_diagnostics(&to_js(&marks));
        if let Some((wish, line, column)) = props.go_to
            && self.gone_to != Some(wish)
        {
            self.gone_to = Some(wish);
            editor.go_to(line, column);
        }
    }
}

/// Plain data as a JavaScript value; null where it can't be had.
fn to_js(data: &impl Serialize) -> JsValue {
    serde_json::to_string(data).ok().and_then(|text| JSON::parse(&text).ok()).unwrap_or(JsValue::NULL)
}
