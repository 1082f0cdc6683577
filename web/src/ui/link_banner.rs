//! What a share link brought: recipe, seed, and whether the loaded models are the ones it means.

use yew::prelude::*;

use super::agreement::Agreement;
use super::state::{Action, State};
use super::words::{self as common, recipe as words};

/// The banner, if the page was opened from a link.
pub fn link_banner(state: &State, act: &Callback<Action>) -> Html {
    let Some(opened) = &state.link else { return html! {} };
    let keep = act.reform(|_: MouseEvent| Action::KeepLink);
    let dismiss = html! { <button type="button" class="quiet" onclick={keep}>{ common::DISMISS }</button> };
    let link = match &opened.link {
        Ok(link) => link,
        Err(error) => {
            return html! {
                <div class="banner is-error" role="alert">
                    <p><strong>{ words::LINK_DAMAGED }</strong></p>
                    <p>{ common::sentence(&error.to_string()) }</p>
                    <div class="buttons">{ dismiss }</div>
                </div>
            };
        }
    };
    let unchanged = link.recipe == state.text && link.seed == state.seed;
    let back = act.reform(|_: MouseEvent| Action::LeaveLink);
    html! {
        <div class="banner">
            <p><strong>{ words::LINK_OPENED }</strong>{ " " }{ words::LINK_WAITS }</p>
            if !unchanged {
                <p>{ words::LINK_CHANGED }</p>
            }
            <p class="banner-label" id="link-models">{ words::LINK_NEEDS }</p>
            <ul class="agreements" aria-labelledby="link-models">
                { for state.agreements().into_iter().map(|(name, agreement)| html! {
                    <li key={name.clone()}>
                        <span class="agreement-name">{ name }</span>
                        <span class={classes!("agreement", class(agreement))}>{ words::agreement(agreement) }</span>
                    </li>
                }) }
            </ul>
            <div class="buttons">
                if opened.before.is_some() {
                    <button type="button" class="quiet" onclick={back}>{ words::LINK_BACK }</button>
                }
                { dismiss }
            </div>
        </div>
    }
}

fn class(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Same => "is-same",
        Agreement::Different => "is-different",
        Agreement::Unknown | Agreement::Absent => "is-unknown",
    }
}
