//! A task's questions one by one: what two models answered.

use merge_studio_eval::task::{Record, Value};
use merge_studio_web::ui::field;
use yew::html::Scope;
use yew::prelude::*;

use super::run::Run;
use super::{Msg, View, words};

/// Questions that are shown at first, and as many more each time.
pub const PAGE: usize = 20;
/// Characters of a question that are shown: its end, behind the examples.
const LONGEST: usize = 1200;

/// Which questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Won,
    Lost,
}

/// What is shown.
pub struct Shown {
    pub task: usize,
    pub one: usize,
    pub other: usize,
    pub which: Which,
    pub count: usize,
}

impl Shown {
    /// The last model, which is the merge where there is one, against the first: of those that have answered.
    pub fn new(run: &Run, task: usize) -> Self {
        let mut answered = (0..run.models.len()).filter(|model| !run.cells[task][*model].records.is_empty());
        let other = answered.next().unwrap_or_default();
        Self { task, one: answered.next_back().unwrap_or(other), other, which: Which::All, count: PAGE }
    }
}

/// The region.
pub fn questions(run: &Run, shown: &Shown, link: &Scope<View>) -> Html {
    let &Shown { task, one, other, which, count } = shown;
    let compared = run.compared(task, one, other);
    let compared = compared.as_ref();
    let records = &run.cells[task][one].records;
    let is_wanted = |record: &&Record| match (which, compared) {
        (Which::All, _) => true,
        (Which::Won, Some(compared)) => compared.won.contains(&record.document),
        (Which::Lost, Some(compared)) => compared.lost.contains(&record.document),
        (_, None) => false,
    };
    let wanted: Vec<&Record> = records.iter().filter(is_wanted).collect();
    let of_other = |record: &Record| run.cells[task][other].records.iter().find(|one| one.document == record.document);
    let tab = |each: Which| {
        let number = match (each, compared) {
            (Which::All, _) => Some(records.len()),
            (Which::Won, Some(compared)) => Some(compared.won.len()),
            (Which::Lost, Some(compared)) => Some(compared.lost.len()),
            (_, None) => None,
        };
        html! {
            <button type="button" class="small" aria-pressed={(which == each).to_string()} disabled={number.is_none()}
                onclick={link.callback(move |_: MouseEvent| Msg::Which(each))}>{ words::which(each, number) }</button>
        }
    };
    let names = [run.models[one].as_str(), run.models[other].as_str()];
    html! {
        <section class="questions" aria-labelledby="questions-title">
            <h3 id="questions-title">{ words::questions_of(&run.tasks[task].name) }</h3>
            <div class="controls">
                { model_select(run, words::COMPARE, "compare-one", one, &link.callback(move |one| Msg::Compare(one, other))) }
                { model_select(run, words::AGAINST, "compare-other", other, &link.callback(move |other| Msg::Compare(one, other))) }
            </div>
            <div class="buttons">{ tab(Which::All) }{ tab(Which::Won) }{ tab(Which::Lost) }</div>
            if wanted.is_empty() {
                <p class="aside">{ words::NO_QUESTIONS }</p>
            }
            <ol class="question-list" aria-labelledby="questions-title">
                { for wanted.iter().take(count).map(|record| question(record, of_other(record), names)) }
            </ol>
            if wanted.len() > count {
                <button type="button" class="quiet" onclick={link.callback(|_: MouseEvent| Msg::More)}>{ words::more(wanted.len() - count) }</button>
            }
        </section>
    }
}

fn model_select(run: &Run, label: &'static str, id: &'static str, chosen: usize, choose: &Callback<usize>) -> Html {
    let choose = choose.reform(|event: Event| field::selected(&event).parse().unwrap_or_default());
    html! {
        <div class="field">
            <label for={id}>{ label }</label>
            <select {id} onchange={choose}>
                { for run.models.iter().enumerate().map(|(at, name)| html! {
                    <option value={at.to_string()} selected={at == chosen}>{ name.clone() }</option>
                }) }
            </select>
        </div>
    }
}

fn question(record: &Record, other: Option<&Record>, names: [&str; 2]) -> Html {
    let both: Vec<(&str, &Record)> =
        [Some(record), other].into_iter().zip(names).filter_map(|(record, name)| Some((name, record?))).collect();
    html! {
        <li key={record.document}>
            <h4>{ words::question(record.document) }</h4>
            if let Some(context) = record.contexts.first() {
                <p class="asked">{ end_of(context) }</p>
            }
            { if record.generated.is_some() { written(record, &both) } else { scored(record, &both) } }
        </li>
    }
}

/// What models wrote, beside what is right.
fn written(record: &Record, both: &[(&str, &Record)]) -> Html {
    html! {
        <dl class="answers">
            <div><dt>{ words::RIGHT_ANSWER }</dt><dd class="is-number">{ text_of(&record.target) }</dd></div>
            { for both.iter().map(|(name, record)| html! {
                <div>
                    <dt>{ *name }{ " " }{ verdict(record.right()) }</dt>
                    <dd class="is-number">{ words::written(record.generated.as_deref().unwrap_or_default()) }</dd>
                </div>
            }) }
        </dl>
    }
}

/// What models found how likely.
fn scored(record: &Record, both: &[(&str, &Record)]) -> Html {
    let texts = if record.choices.is_empty() { &record.continuations } else { &record.choices };
    html! {
        <table class="choices">
            <thead><tr>
                <th scope="col">{ if record.choices.is_empty() { words::TEXT } else { words::CHOICE } }</th>
                { for both.iter().map(|(name, record)| html! {
                    <th scope="col" class="figure">{ *name }{ " " }{ verdict(record.right()) }</th>
                }) }
            </tr></thead>
            <tbody>{ for texts.iter().enumerate().map(|(at, text)| html! {
                <tr>
                    <th scope="row">
                        { end_of(text) }
                        if record.gold.contains(&at) {
                            { " " }<span class="tag">{ words::RIGHT_ANSWER }</span>
                        }
                    </th>
                    { for both.iter().map(|(_, record)| html! {
                        <td class={classes!("figure", (record.chosen == Some(at)).then_some("is-best"))}>
                            { record.log_likelihoods.get(at).map(|likelihood| words::figure(*likelihood)) }
                            if record.chosen == Some(at) {
                                { " " }<span class="best">{ words::CHOSEN }</span>
                            }
                        </td>
                    }) }
                </tr>
            }) }</tbody>
        </table>
    }
}

fn verdict(right: Option<bool>) -> Html {
    match right {
        Some(true) => html! { <span class="verdict is-right">{ words::RIGHT }</span> },
        Some(false) => html! { <span class="verdict is-wrong">{ words::WRONG }</span> },
        None => html! {},
    }
}

fn text_of(value: &Value) -> String {
    value.text().map_or_else(|| value.to_json().to_string(), ToOwned::to_owned)
}

fn end_of(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST {
        text.to_owned()
    } else {
        format!("… {}", text.chars().skip(count - LONGEST).collect::<String>())
    }
}
