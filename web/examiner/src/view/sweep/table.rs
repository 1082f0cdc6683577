//! The numbers of a sweep: values by tasks.

use merge_studio_eval::task::Measured;
use yew::prelude::*;

use super::{Swept, words};
use crate::view::table::trouble;
use crate::view::words as all;

/// The table, and below it what could not be merged or asked.
pub fn table(swept: &Swept, now: Option<f64>) -> Html {
    let run = &swept.run;
    let columns: Vec<(usize, &Measured)> = (0..run.tasks.len())
        .flat_map(|task| run.measures(task).into_iter().map(move |measured| (task, measured)))
        .collect();
    html! {
        <>
            <div class="scroll" tabindex="0" role="group" aria-labelledby="sweep-results">
                <h3 id="sweep-results" class="unseen">{ words::RESULTS }</h3>
                <table aria-labelledby="sweep-results">
                    <thead><tr>
                        <th scope="col">{ words::knob(&swept.knob) }</th>
                        { for columns.iter().map(|(task, measured)| html! {
                            <th scope="col" class="figure">
                                <span class="name">{ run.tasks[*task].name.clone() }</span>{ " " }<span class="aside">{ all::metric(measured) }</span>
                            </th>
                        }) }
                    </tr></thead>
                    <tbody>{ for swept.values.iter().enumerate().map(|(at, value)| html! {
                        <tr key={at}>
                            <th scope="row">
                                { words::number(*value) }
                                if now == Some(*value) {
                                    { " " }<span class="tag">{ words::RECIPE_NOW }</span>
                                }
                            </th>
                            { for columns.iter().map(|(task, measured)| cell(swept, at, *task, measured)) }
                        </tr>
                    }) }</tbody>
                </table>
            </div>
            <p class="aside">{ words::LEGEND }</p>
            { trouble(run) }
        </>
    }
}

fn cell(swept: &Swept, at: usize, task: usize, measured: &Measured) -> Html {
    let run = &swept.run;
    let results = run.cells[task][at].results.as_ref();
    let Some(own) = results.and_then(|results| results.get(&measured.metric, &measured.filter)) else {
        return html! { <td class="figure">{ words::NOTHING }</td> };
    };
    let (answered, questions) = (results.map_or(0, |results| results.answered), run.questions(task));
    let is_best = run.best(task, measured) == Some(at);
    html! {
        <td class={classes!("figure", is_best.then_some("is-best"))}>
            <span class="value">{ all::figure(own.value) }</span>
            if let Some(error) = own.error {
                { " " }<span class="error">{ all::error(error) }</span>
            }
            if is_best {
                <span class="best">{ all::BEST }</span>
            }
            if answered < questions {
                <span class="so-far">{ all::so_far(answered, questions) }</span>
            }
        </td>
    }
}
