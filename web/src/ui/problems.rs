//! What is wrong with the recipe: where, what, and a button where it can be mended.

use merge_studio::recipe::{Checked, Severity};
use yew::prelude::*;

use super::shared::Shared;
use super::state::Action;
use super::words::recipe as words;

/// Properties of [`Problems`].
#[derive(Properties, PartialEq)]
pub struct ProblemsProps {
    /// What the linter said.
    pub checked: Shared<Checked>,
    /// Whether there is no recipe yet.
    pub blank: bool,
    /// Where fixes go.
    pub act: Callback<Action>,
    /// Called to go to a line and a column.
    pub on_go: Callback<(usize, usize)>,
}

/// The list; nothing at all where there is no recipe, one quiet line where there is no problem.
#[component(Problems)]
pub fn problems(props: &ProblemsProps) -> Html {
    let problems = &props.checked.problems;
    if props.blank {
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
                    let fix = props.act.reform(move |_: MouseEvent| Action::Fix(at));
                    let go = props.on_go.reform(move |_: MouseEvent| (line, column));
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
