//! The form's vocabulary: whose tokens the result has, how their rows are filled up, and its chat template.

use merge_studio::recipe::{CHAT_TEMPLATES, TokenRule, TokenizerRule, TokenizerSource};
use yew::prelude::*;

use super::edit::Edit;
use super::field::{entered, selected};
use super::form::{FormProps, to_yaml};
use super::state::Action;
use super::words::recipe as words;

/// Values of the selects that are no names. Names have a prefix, so that one that is spelled like these is still a name.
const UNION: &str = "union";
const BASE: &str = "base";
const NAMED: &str = "model:";
const OWN_TEXT: &str = "text:";

/// Tokenizer, its rules, and the chat template.
pub fn vocabulary(props: &FormProps<'_>) -> Html {
    let rule = props.form.tokenizer.as_ref();
    html! {
        <fieldset class="vocabulary">
            <legend>{ words::VOCABULARY }</legend>
            { source(props, rule.map(|rule| &rule.source)) }
            if let Some(rule) = rule {
                { padding(props, rule) }
                { tokens(props, rule) }
            }
            { template(props) }
        </fieldset>
    }
}

fn source(props: &FormProps<'_>, chosen: Option<&TokenizerSource>) -> Html {
    let choose = props.act.reform(|event: Event| {
        let value = selected(&event);
        Action::Edit(Edit::Tokenizer(match value.as_str() {
            UNION => Some(TokenizerSource::Union),
            BASE => Some(TokenizerSource::Base),
            value => value.strip_prefix(NAMED).map(|name| TokenizerSource::Model(name.to_owned())),
        }))
    });
    let option = |value: String, words: &str, source: Option<TokenizerSource>| {
        let selected = chosen == source.as_ref();
        html! { <option key={value.clone()} {value} {selected}>{ words }</option> }
    };
    let why = match chosen {
        None => words::TOKENIZER_NONE_WHY,
        Some(TokenizerSource::Union) => words::TOKENIZER_UNION_WHY,
        Some(TokenizerSource::Base | TokenizerSource::Model(_)) => words::TOKENIZER_ONE_WHY,
    };
    html! {
        <div class="field">
            <label for="tokenizer">{ words::TOKENIZER }</label>
            <select id="tokenizer" onchange={choose}>
                { option(String::new(), words::TOKENIZER_NONE, None) }
                { option(UNION.to_owned(), words::TOKENIZER_UNION, Some(TokenizerSource::Union)) }
                { option(BASE.to_owned(), words::TOKENIZER_BASE, Some(TokenizerSource::Base)) }
                { for super::edit::names(props.form).into_iter().map(|name| {
                    option(format!("{NAMED}{name}"), &words::tokenizer_of(name), Some(TokenizerSource::Model(name.to_owned())))
                }) }
            </select>
            <p class="summary">{ why }</p>
        </div>
    }
}

fn padding(props: &FormProps<'_>, rule: &TokenizerRule) -> Html {
    let now = rule.pad_to_multiple_of;
    let act = props.act.clone();
    let enter = Callback::from(move |event: Event| {
        let typed = entered(&event);
        match typed.trim().parse::<u64>() {
            Ok(multiple) if multiple > 0 => act.emit(Action::Edit(Edit::PadTo(Some(multiple)))),
            _ if typed.trim().is_empty() => act.emit(Action::Edit(Edit::PadTo(None))),
            // A broken field goes back to what counts.
            _ => event
                .target_unchecked_into::<web_sys::HtmlInputElement>()
                .set_value(&now.map_or_else(String::new, |now| now.to_string())),
        }
    });
    html! {
        <div class="field is-row">
            <label for="pad-to">{ words::PAD_TO }</label>
            <input id="pad-to" type="number" min="1" step="1" inputmode="numeric" placeholder={words::NO_PADDING}
                value={now.map_or_else(String::new, |now| now.to_string())} onchange={enter} />
        </div>
    }
}

/// Rules for single tokens: to be read and taken out here, and written as YAML.
fn tokens(props: &FormProps<'_>, rule: &TokenizerRule) -> Html {
    if rule.tokens.is_empty() {
        return html! {};
    }
    let row = |(at, (token, rule)): (usize, &(String, TokenRule))| {
        html! {
            <li key={at} class="token">
                <code>{ token }</code>
                <span>{ words::token_rule(rule) }</span>
                { props.icon(words::remove_token(token), "×", false, Edit::DropToken(at)) }
            </li>
        }
    };
    html! {
        <div class="tokens">
            <span id="tokens-title" class="parameter-note">{ words::TOKENS }</span>
            <ul aria-labelledby="tokens-title">{ for rule.tokens.iter().enumerate().map(row) }</ul>
            { to_yaml(props.act) }
        </div>
    }
}

fn template(props: &FormProps<'_>) -> Html {
    let chosen = props.form.chat_template.as_deref();
    let is_own = chosen.is_some_and(|template| !CHAT_TEMPLATES.contains(&template));
    let choose = props.act.reform(|event: Event| {
        let value = selected(&event);
        let template = if value == OWN_TEXT { words::FIRST_TEMPLATE.to_owned() } else { value };
        Action::Edit(Edit::ChatTemplate(Some(template)))
    });
    let write = props.act.reform(|event: Event| {
        let area: web_sys::HtmlTextAreaElement = event.target_unchecked_into();
        Action::Edit(Edit::ChatTemplate(Some(area.value())))
    });
    html! {
        <>
            <div class="field">
                <label for="chat-template">{ words::TEMPLATE }</label>
                <select id="chat-template" onchange={choose}>
                    <option value="" selected={chosen.is_none()}>{ words::NO_TEMPLATE }</option>
                    { for CHAT_TEMPLATES.into_iter().map(|name| html! {
                        <option key={name} value={name} selected={chosen == Some(name)}>
                            { if name == CHAT_TEMPLATES[0] { words::AUTO_TEMPLATE } else { name } }
                        </option>
                    }) }
                    <option value={OWN_TEXT} selected={is_own}>{ words::OWN_TEMPLATE }</option>
                </select>
            </div>
            if let Some(text) = chosen.filter(|_| is_own) {
                <div class="field">
                    <label for="chat-template-text">{ words::TEMPLATE_TEXT }</label>
                    <textarea id="chat-template-text" rows="5" spellcheck="false" value={text.to_owned()} onchange={write} />
                </div>
            }
        </>
    }
}
