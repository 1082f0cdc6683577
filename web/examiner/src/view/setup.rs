//! What to ask, and whom.

use merge_studio_web::ui::field;
use yew::html::Scope;
use yew::prelude::*;

use super::{Demo, Msg, View, of_input, words};

/// Numbers of questions to choose from, as the select calls them.
const LIMITS: [(Option<usize>, &str); 4] = [(Some(20), "20"), (Some(50), "50"), (Some(200), "200"), (None, words::ALL)];

/// The choices and the button.
pub fn setup(view: &View, link: &Scope<View>) -> Html {
    let going = view.is_going();
    let limit = link.callback(|event: Event| {
        let chosen = field::selected(&event);
        Msg::Limit(LIMITS.iter().find(|(_, words)| *words == chosen).and_then(|(limit, _)| *limit))
    });
    let ready = !view.chosen().is_empty() && !view.chosen_tasks().is_empty();
    html! {
        <>
            <fieldset disabled={going}>
                <legend>{ words::MODELS }</legend>
                if view.models.is_empty() {
                    <p class="aside">{ words::NO_MODELS }</p>
                }
                { for view.models.iter().map(|model| {
                    let name = &model.files.name;
                    let on = name.clone();
                    let on = link.callback(move |_: Event| Msg::Model(on.clone()));
                    check(name, !view.models_out.contains(name), on, None)
                }) }
            </fieldset>
            <fieldset disabled={going}>
                <legend>{ words::TASKS }</legend>
                { tasks(view, link) }
                <PickTasks on_files={link.callback(Msg::Files)} />
                <p class="aside">{ words::WHICH_FILES }</p>
            </fieldset>
            <div class="controls">
                <div class="field">
                    <label for="questions">{ words::QUESTIONS }</label>
                    <select id="questions" onchange={limit} disabled={going}>
                        { for LIMITS.iter().map(|(limit, words)| html! { <option selected={view.limit == *limit}>{ *words }</option> }) }
                    </select>
                </div>
                if going {
                    <button type="button" class="main is-cancel" onclick={link.callback(|_: MouseEvent| Msg::Cancel)}>{ words::CANCEL }</button>
                } else {
                    <button type="button" class="main" disabled={!ready || view.is_sweeping} onclick={link.callback(|_: MouseEvent| Msg::Start)}>{ words::START }</button>
                }
            </div>
            if !ready && !going {
                <p class="aside">{ words::NOT_READY }</p>
            } else if view.is_sweeping {
                <p class="aside">{ words::SWEEPING }</p>
            }
        </>
    }
}

fn tasks(view: &View, link: &Scope<View>) -> Html {
    let tasks = view.tasks();
    let broken = view.batches.iter().enumerate().flat_map(|(at, batch)| {
        let opened = batch.opened.iter().flat_map(|opened| &opened.files);
        opened.filter_map(move |opened| Some((at, opened.file.clone(), opened.task.as_ref().err()?.clone())))
    });
    let remove = |batch: usize, file: &str| {
        let file = file.to_owned();
        link.callback(move |_: MouseEvent| Msg::Remove(batch, file.clone()))
    };
    html! {
        <>
            if let Demo::Lacks(file) = view.demo {
                <p class="note is-error" role="alert">{ words::no_demo(file) }</p>
            }
            if tasks.is_empty() && view.reader.is_none() {
                <p class="aside">{ words::NO_TASKS }</p>
            }
            { for tasks.iter().map(|(.., task)| {
                let name = task.name.clone();
                let on = link.callback(move |_: Event| Msg::Task(name.clone()));
                check(&task.name, !view.tasks_out.contains(&task.name), on, Some(words::about(task)))
            }) }
            if view.reader.is_some() {
                <p class="aside">{ words::READING }</p>
            }
            { for broken.map(|(batch, file, why)| html! {
                <div class="note is-error" role="alert">
                    <p>{ words::no_task(&file, &why) }</p>
                    <button type="button" class="quiet small" onclick={remove(batch, &file)}>{ words::remove(&file) }</button>
                </div>
            }) }
        </>
    }
}

fn check(name: &str, checked: bool, onchange: Callback<Event>, about: Option<String>) -> Html {
    html! {
        <label class="check">
            <input type="checkbox" {checked} {onchange} />
            <span>{ name.to_owned() }</span>
            if let Some(about) = about {
                <span class="aside">{ about }</span>
            }
        </label>
    }
}

/// Properties of [`PickTasks`].
#[derive(Properties, PartialEq)]
struct PickTasksProps {
    on_files: Callback<Vec<web_sys::File>>,
}

/// The button that opens task files.
#[component(PickTasks)]
fn pick_tasks(props: &PickTasksProps) -> Html {
    let input = use_node_ref();
    let pick = {
        let input = input.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(input) = input.cast::<web_sys::HtmlElement>() {
                input.click();
            }
        })
    };
    let picked = props.on_files.reform(|event: Event| of_input(&event));
    html! {
        <>
            <button type="button" onclick={pick}>{ words::ADD_TASKS }</button>
            <input ref={input} type="file" hidden=true multiple=true accept=".yaml,.yml,.jsonl,.json" onchange={picked} />
        </>
    }
}
