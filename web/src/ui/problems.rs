//! What is wrong with the recipe: where, what, and a button where it can be mended.

use merge_studio::recipe::{Checked, Severity};
use yew::prelude::*;

use super::state::Action;
use super::words::recipe as words;

/// The list; nothing at all where there is no recipe, one quiet line where there is no problem.
pub fn problems(checked: &Checked, blank: bool, act: &Callback<Action>, on_go: &Callback<(usize, usize)>) -> Html {
    let problems = &checked.problems;
    if blank {
        return html! {};
    }
    if problems.is_empty() {
        return html! { <p class="aside is-good">{ words::NO_PROBLEMS }</p> };
    }
    html! {
        <div class="problems">
            <h3 id="problems-title">{ words::PROBLEMS }<span class="tally">{ problems.len() }</span></h3>
            <ul aria-labelledby="problems-title">
                { for problems.iter().enumerate().map(|(at, problem)| {
                    let (line, column) = (problem.span.line, problem.span.column);
                    let fix = act.reform(move |_: MouseEvent| Action::Fix(at));
                    let go = on_go.reform(move |_: MouseEvent| (line, column));
                    let class = match problem.severity {
                        Severity::Error => "problem is-error",
                        Severity::Warning => "problem is-warning",
                    };
                    html! {
                        <li key={at} {class}>
                            <button type="button" class="link place" onclick={go}
                                aria-label={words::place_spoken(line, column)}>{ words::place(line, column) }</button>
                            <p><span class="severity">{ words::severity(problem.severity) }</span>{ words::problem(problem) }</p>
                            if let Some(repair) = &problem.fix {
                                <button type="button" class="quiet small" onclick={fix}>{ repair.kind.to_string() }</button>
                            }
                        </li>
                    }
                }) }
            </ul>
        </div>
    }
}
