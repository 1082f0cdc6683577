//! The results: tasks by models.

use merge_studio_eval::task::{Group, Measured, Results};
use yew::html::Scope;
use yew::prelude::*;

use super::questions::Shown;
use super::run::{Run, State};
use super::{Msg, View, words};

/// The table, and below it what could not be evaluated.
pub fn table(run: &Run, shown: Option<&Shown>, link: &Scope<View>) -> Html {
    let rows = (0..run.tasks.len()).map(|task| rows(run, task, shown, link));
    let groups = run.groups.iter().map(|group| group_row(run, group));
    html! {
        <>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="results-title">
                <h3 id="results-title" class="unseen">{ words::RESULTS }</h3>
                <table aria-labelledby="results-title">
                    <thead><tr>
                        <th scope="col">{ words::TASK }</th>
                        { for run.models.iter().map(|model| html! { <th scope="col" class="figure"><span class="name">{ model.clone() }</span></th> }) }
                    </tr></thead>
                    <tbody>{ for rows }{ for groups }</tbody>
                </table>
            </div>
            <p class="aside">{ words::LEGEND }</p>
            { trouble(run) }
        </>
    }
}

/// What could not be evaluated, or not to its end.
pub fn trouble(run: &Run) -> Html {
    let models = run.models.iter().zip(&run.states).filter_map(|(model, state)| match state {
        State::Refused(why) => Some(words::refused(model, why)),
        State::Died(why) => Some(words::died(model, why)),
        State::Waiting | State::Loading | State::Asking | State::Done => None,
    });
    let tasks = run.tasks.iter().zip(&run.broken);
    let tasks = tasks.filter_map(|(task, why)| Some(words::broken(&task.name, why.as_ref()?)));
    let stuck = stuck(run);
    let stuck = stuck.iter().map(|(tasks, models, why)| words::stuck(tasks, models, why));
    html! { <>{ for models.chain(tasks).chain(stuck).map(|words| html! { <p class="note is-error" role="alert">{ words }</p> }) }</> }
}

/// Tasks with which models could not go on, and why: tasks that stopped for the same models and reason together.
fn stuck(run: &Run) -> Vec<(Vec<String>, Vec<String>, &str)> {
    let mut found: Vec<(Vec<String>, Vec<String>, &str)> = Vec::new();
    for (task, cells) in run.tasks.iter().zip(&run.cells) {
        let mut reasons: Vec<(Vec<String>, &str)> = Vec::new();
        for (model, cell) in run.models.iter().zip(cells) {
            let Some(why) = &cell.stuck else { continue };
            match reasons.iter_mut().find(|(_, other)| other == why) {
                Some((models, _)) => models.push(model.clone()),
                None => reasons.push((vec![model.clone()], why)),
            }
        }
        for (models, why) in reasons {
            match found.iter_mut().find(|(_, others, other)| *others == models && *other == why) {
                Some((tasks, ..)) => tasks.push(task.name.clone()),
                None => found.push((vec![task.name.clone()], models, why)),
            }
        }
    }
    found
}

/// A row a metric; before anything is answered, one.
fn rows(run: &Run, task: usize, shown: Option<&Shown>, link: &Scope<View>) -> Html {
    let measures = run.measures(task);
    let name = run.tasks[task].name.clone();
    if measures.is_empty() {
        return html! {
            <tr key={name.clone()}>
                <th scope="row">{ name }</th>
                { for run.models.iter().map(|_| html! { <td class="figure">{ words::NOTHING }</td> }) }
            </tr>
        };
    }
    let is_shown = shown.is_some_and(|shown| shown.task == task);
    let row = |(at, measured): (usize, &&Measured)| {
        let best = run.best(task, measured);
        html! {
            <tr key={format!("{name} {at}")}>
                <th scope="row">
                    if at == 0 {
                        <button type="button" class="link" aria-expanded={is_shown.to_string()}
                            onclick={link.callback(move |_: MouseEvent| Msg::Show(task))}>{ name.clone() }</button>
                    } else {
                        <span class="unseen">{ name.clone() }</span>
                    }
                    { " " }<span class="aside">{ words::metric(measured) }</span>
                </th>
                { for run.cells[task].iter().enumerate().map(|(model, own)| {
                    cell(own.results.as_ref(), measured, run.questions(task), best == Some(model))
                }) }
            </tr>
        }
    };
    html! { <>{ for measures.iter().enumerate().map(row) }</> }
}

/// The mean of a group's tasks, where a model answered to all of them.
fn group_row(run: &Run, group: &Group) -> Html {
    let results: Vec<Option<Results>> = (0..run.models.len()).map(|model| run.grouped(group, model)).collect();
    let Some(measured) = results.iter().flatten().find_map(|results| results.measured.first()) else { return html! {} };
    html! {
        <tr key={group.name.clone()} class="group">
            <th scope="row">{ &group.name }{ " " }<span class="aside">{ words::metric(measured) }</span></th>
            { for results.iter().map(|results| cell(results.as_ref(), measured, 0, false)) }
        </tr>
    }
}

/// What a model's answers make by a metric, of so many questions.
fn cell(results: Option<&Results>, measured: &Measured, questions: usize, is_best: bool) -> Html {
    let Some(own) = results.and_then(|results| results.get(&measured.metric, &measured.filter)) else {
        return html! { <td class="figure">{ words::NOTHING }</td> };
    };
    let answered = results.map_or(0, |results| results.answered);
    html! {
        <td class={classes!("figure", is_best.then_some("is-best"))}>
            <span class="value">{ words::figure(own.value) }</span>
            if let Some(error) = own.error {
                { " " }<span class="error">{ words::error(error) }</span>
            }
            if is_best {
                <span class="best">{ words::BEST }</span>
            }
            if answered < questions {
                <span class="so-far">{ words::so_far(answered, questions) }</span>
            }
        </td>
    }
}
