//! One prompt to several models: what it is, whom it goes to, and their answers side by side.

mod answers;
mod settings;

use js_sys::Array;
use web_sys::{HtmlTextAreaElement, KeyboardEvent};
use yew::prelude::*;

use super::crew::{self, Limits, Turn};
use super::examiner::Examiner;
use super::words::ask as words;
use super::{DEMO_MODEL, Given};
use crate::protocol::{Order, Prompt, Said};
pub use answers::{Answer, Stage};
pub use settings::Number;
use settings::{Setting, Settings, Wanted};

/// Beside the view's own.
const STYLE: &str = include_str!("ask/style.css");
/// Models that answer at once: more are not told apart side by side.
const MOST: usize = 4;
/// What the demo models know (static/demo/README.md).
const DEMO_PROMPTS: [&str; 3] = ["reverse: kamel = ", "sort: 52713 = ", "upper: kamel = "];

/// Properties of [`Ask`].
#[derive(Properties, PartialEq)]
pub struct AskProps {
    pub models: Vec<Given>,
    /// Whether an evaluation needs the memory.
    pub busy: bool,
}

pub enum Msg {
    Prompt(String),
    Key(KeyboardEvent),
    /// A model takes part, or no longer does.
    Model(String),
    Setting(Setting),
    Ask,
    Cancel,
    /// What a worker says, by its number.
    Heard(u32, Said),
}

/// A model that was asked.
struct Seat {
    model: Given,
    /// It holds the model, and stays for the next prompt.
    worker: Option<Examiner>,
    answer: Answer,
}

/// The region.
pub struct Ask {
    prompt: String,
    /// Names of models, once somebody chose.
    chosen: Option<Vec<String>>,
    settings: Settings,
    /// What is asked: prompt and settings may change while models wait.
    asked: Option<(String, Wanted)>,
    seats: Vec<Seat>,
    /// Of the prompts.
    number: u32,
    is_cancelled: bool,
}

impl Component for Ask {
    type Message = Msg;
    type Properties = AskProps;

    fn create(_: &Context<Self>) -> Self {
        Self {
            prompt: String::new(),
            chosen: None,
            settings: Settings::default(),
            asked: None,
            seats: Vec::new(),
            number: 0,
            is_cancelled: false,
        }
    }

    /// Workers whose memory is needed, or whose models are gone, end.
    fn changed(&mut self, ctx: &Context<Self>, _: &AskProps) -> bool {
        let AskProps { models, busy } = ctx.props();
        for seat in &mut self.seats {
            let given = models.iter().find(|model| model.is_same(&seat.model));
            if let Some(given) = given {
                seat.model = given.clone();
            }
            if *busy || given.is_none() {
                seat.worker = None;
                self.is_cancelled |= seat.answer.cancel();
            }
        }
        self.go_on(ctx);
        true
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Prompt(prompt) => self.prompt = prompt,
            Msg::Key(event) => {
                if event.key() != "Enter" || !(event.ctrl_key() || event.meta_key()) {
                    return false;
                }
                event.prevent_default();
                if self.is_ready(ctx) && !self.is_going() {
                    self.ask(ctx);
                }
            }
            Msg::Model(name) => {
                let mut chosen = self.names(ctx);
                match chosen.iter().position(|other| *other == name) {
                    Some(at) => drop(chosen.remove(at)),
                    None => chosen.push(name),
                }
                self.chosen = Some(chosen);
            }
            Msg::Setting(setting) => self.settings.set(setting),
            Msg::Ask => self.ask(ctx),
            Msg::Cancel => self.cancel(),
            Msg::Heard(worker, said) => {
                let is_it = |seat: &&mut Seat| seat.worker.as_ref().is_some_and(|own| own.number() == worker);
                let Some(seat) = self.seats.iter_mut().find(is_it) else { return false };
                match said {
                    Said::Reply { number, reply } if number == self.number => seat.answer.hear(reply),
                    Said::Died(why) => {
                        seat.worker = None;
                        if seat.answer.is_going() {
                            seat.answer.stage = Stage::Died(why);
                        }
                    }
                    _ => return false,
                }
                self.go_on(ctx);
            }
        }
        true
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let link = ctx.link();
        let going = self.is_going();
        let typed = link
            .callback(|event: InputEvent| Msg::Prompt(event.target_unchecked_into::<HtmlTextAreaElement>().value()));
        let is_demo = ctx.props().models.iter().any(|model| model.files.name == DEMO_MODEL);
        let example = |prompt: &'static str| {
            let set = link.callback(|_: MouseEvent| Msg::Prompt(prompt.to_owned()));
            html! { <button type="button" class="small" onclick={set}>{ prompt.trim_end() }</button> }
        };
        let press = link.callback(move |_: MouseEvent| if going { Msg::Cancel } else { Msg::Ask });
        let is_off = !going && !self.is_ready(ctx);
        html! {
            <section class="pane evaluate ask" aria-labelledby="ask-title">
                <style>{ STYLE }</style>
                <div class="evaluate-setup">
                    <h2 id="ask-title">{ words::REGION }</h2>
                    { self.models(ctx) }
                    { settings::view(&self.settings, going, &link.callback(Msg::Setting)) }
                </div>
                <div class="evaluate-results">
                    <div class="field">
                        <label for="ask-prompt">{ words::PROMPT }</label>
                        <textarea id="ask-prompt" rows="4" value={self.prompt.clone()} oninput={typed} onkeydown={link.callback(Msg::Key)} />
                    </div>
                    <div class="buttons">
                        <button type="button" class={classes!("main", going.then_some("is-cancel"))} disabled={is_off}
                            onclick={press}>{ if going { words::CANCEL } else { words::ASK } }</button>
                        if is_demo {
                            <span class="aside">{ words::EXAMPLES }</span>
                            { for DEMO_PROMPTS.into_iter().map(example) }
                        }
                    </div>
                    <p class="status" role="status">{ self.status(ctx) }</p>
                    if self.seats.is_empty() {
                        <p class="teach">{ words::TEACH }</p>
                    } else {
                        <div class="ask-answers">
                            { for self.seats.iter().enumerate().map(|(at, seat)| answers::view(at, &seat.model.files.name, &seat.answer)) }
                        </div>
                    }
                </div>
            </section>
        }
    }
}

impl Ask {
    fn models(&self, ctx: &Context<Self>) -> Html {
        let models = &ctx.props().models;
        let chosen = self.names(ctx);
        let check = |model: &Given| {
            let name = model.files.name.clone();
            let checked = chosen.contains(&name);
            let disabled = !checked && chosen.len() >= MOST;
            let toggle = {
                let name = name.clone();
                ctx.link().callback(move |_: Event| Msg::Model(name.clone()))
            };
            html! {
                <label class="check">
                    <input type="checkbox" {checked} {disabled} onchange={toggle} />
                    <span>{ name }</span>
                </label>
            }
        };
        html! {
            <fieldset disabled={self.is_going()}>
                <legend>{ words::MODELS }</legend>
                if models.is_empty() {
                    <p class="aside">{ super::words::NO_MODELS }</p>
                }
                { for models.iter().map(check) }
                if models.len() > MOST {
                    <p class="aside">{ words::AT_MOST }</p>
                }
            </fieldset>
        }
    }

    fn status(&self, ctx: &Context<Self>) -> String {
        let answers: Vec<&Answer> = self.seats.iter().map(|seat| &seat.answer).collect();
        if ctx.props().busy {
            words::BUSY.to_owned()
        } else if answers.is_empty() {
            String::new()
        } else if self.is_going() {
            words::ANSWERING.to_owned()
        } else if self.is_cancelled {
            words::CANCELLED.to_owned()
        } else {
            let failed = answers.iter().filter(|answer| answer.has_failed()).count();
            words::answered(answers.len() - failed, failed)
        }
    }

    fn is_going(&self) -> bool {
        self.seats.iter().any(|seat| seat.answer.is_going())
    }

    fn is_ready(&self, ctx: &Context<Self>) -> bool {
        !ctx.props().busy && !self.prompt.is_empty() && !self.names(ctx).is_empty() && self.settings.read().is_some()
    }

    /// Names of the models that take part.
    fn names(&self, ctx: &Context<Self>) -> Vec<String> {
        let names: Vec<&str> = ctx.props().models.iter().map(|model| model.files.name.as_str()).collect();
        chosen(&names, self.chosen.as_deref())
    }

    fn ask(&mut self, ctx: &Context<Self>) {
        let names = self.names(ctx);
        let mut before = std::mem::take(&mut self.seats);
        self.asked = self.settings.read().map(|wanted| (self.prompt.clone(), wanted));
        let wants_system = self.asked.as_ref().is_some_and(|(_, wanted)| !wanted.system.is_empty());
        for model in ctx.props().models.iter().filter(|model| names.contains(&model.files.name)) {
            let worker = before.iter_mut().find(|seat| seat.model.is_same(model)).and_then(|seat| seat.worker.take());
            self.seats.push(Seat {
                model: model.clone(),
                worker,
                answer: Answer { wants_system, ..Answer::default() },
            });
        }
        self.number += 1;
        self.is_cancelled = false;
        self.go_on(ctx);
    }

    /// As many models answer as there are processors; then the next.
    fn go_on(&mut self, ctx: &Context<Self>) {
        let Some((text, wanted)) = &self.asked else { return };
        // Their memory does not count: those that have answered keep it, too.
        let queue: Vec<(Turn, u64)> = self.seats.iter().map(|seat| (seat.answer.turn(), 0)).collect();
        for place in crew::next(Limits::of_browser(), &queue) {
            let seat = &mut self.seats[place];
            let order = Order::Ask(Prompt {
                number: self.number,
                model: seat.model.files.clone(),
                text: text.clone(),
                system: wanted.system.clone(),
                chat: wanted.chat,
                longest: wanted.longest,
                sampling: wanted.sampling.clone(),
            });
            let beside = Array::of2(&Array::new(), &Array::of1(&seat.model.blobs)).into();
            seat.answer.stage = Stage::Starting;
            if let Some(worker) = &seat.worker {
                worker.order(&order, &beside);
            } else {
                let hear = ctx.link().callback(|(worker, said)| Msg::Heard(worker, said));
                seat.worker = Some(Examiner::call(order, beside, hear));
            }
        }
    }

    /// Workers that hold their models keep them.
    fn cancel(&mut self) {
        for seat in &mut self.seats {
            let is_loaded = seat.answer.is_loaded();
            if seat.answer.cancel() {
                match &seat.worker {
                    Some(worker) if is_loaded => {
                        worker.order(&Order::Stop, &Array::of2(&Array::new(), &Array::new()));
                    }
                    _ => seat.worker = None,
                }
            }
        }
        self.is_cancelled = true;
    }
}

/// The models that take part, as chosen; before that all, and of more than take part the last, which is the merge where there is one, and
/// the first.
fn chosen(models: &[&str], chosen: Option<&[String]>) -> Vec<String> {
    let takes_part = |at: usize, name: &str| match chosen {
        Some(chosen) => chosen.iter().any(|other| other == name),
        None => at + 1 < MOST || at + 1 == models.len(),
    };
    let found = models.iter().enumerate().filter(|(at, name)| takes_part(*at, name));
    found.map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_anything_is_chosen_the_last_model_and_the_first_take_part() {
        assert!(chosen(&[], None).is_empty());
        assert_eq!(chosen(&["a", "b"], None), ["a", "b"]);
        assert_eq!(chosen(&["a", "b", "c", "d"], None), ["a", "b", "c", "d"]);
        assert_eq!(chosen(&["a", "b", "c", "d", "e", "merged"], None), ["a", "b", "c", "merged"]);
    }

    #[test]
    fn those_that_were_chosen_take_part_while_they_are_there() {
        let names = ["c".to_owned(), "gone".to_owned()];
        assert_eq!(chosen(&["a", "b", "c"], Some(&names)), ["c"]);
        assert!(chosen(&["a"], Some(&[])).is_empty());
    }
}
