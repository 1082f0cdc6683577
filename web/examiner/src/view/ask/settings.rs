//! How answers are written: the numbers as they were typed, and what they say.

use std::ops::RangeInclusive;

use merge_studio_web::ui::field;
use web_sys::{HtmlInputElement, HtmlTextAreaElement};
use yew::prelude::*;

use crate::protocol::Sampling;
use crate::view::words::ask as words;

/// A number that can be typed.
pub struct Number {
    pub label: &'static str,
    pub range: RangeInclusive<f64>,
    pub is_whole: bool,
    default: &'static str,
}

const TEMPERATURE: Number = Number { label: words::TEMPERATURE, range: 0.01..=5.0, is_whole: false, default: "0.8" };
const TOP_P: Number = Number { label: words::TOP_P, range: 0.01..=1.0, is_whole: false, default: "0.95" };
const TOP_K: Number = Number { label: words::TOP_K, range: 0.0..=100_000.0, is_whole: true, default: "0" };
const SEED: Number = Number { label: words::SEED, range: 0.0..=4_294_967_295.0, is_whole: true, default: "0" };
const LONGEST: Number = Number { label: words::LONGEST, range: 1.0..=4096.0, is_whole: true, default: "200" };
const NUMBERS: [Number; 5] = [LONGEST, TEMPERATURE, TOP_P, TOP_K, SEED];

impl Number {
    /// What was typed, where it is one of these numbers.
    fn read(&self, typed: &str) -> Option<f64> {
        let number = typed.trim().parse::<f64>().ok()?;
        (self.range.contains(&number) && (!self.is_whole || number.fract() == 0.0)).then_some(number)
    }
}

/// What is set.
pub struct Settings {
    is_sampled: bool,
    chat: bool,
    system: String,
    /// What was typed, in the order of [`NUMBERS`].
    typed: [String; 5],
}

/// A change.
pub enum Setting {
    Sampled(bool),
    Chat(bool),
    System(String),
    /// The number at this place.
    Number(usize, String),
}

/// What is set, read.
pub struct Wanted {
    pub chat: bool,
    /// What a chat begins with; empty for nothing.
    pub system: String,
    pub longest: usize,
    pub sampling: Option<Sampling>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_sampled: false,
            chat: true,
            system: String::new(),
            typed: NUMBERS.map(|number| number.default.to_owned()),
        }
    }
}

impl Settings {
    pub fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Sampled(is_sampled) => self.is_sampled = is_sampled,
            Setting::Chat(chat) => self.chat = chat,
            Setting::System(system) => self.system = system,
            Setting::Number(at, typed) => self.typed[at] = typed,
        }
    }

    /// `None` where a number that counts is none, or out of its range.
    pub fn read(&self) -> Option<Wanted> {
        let mut read = NUMBERS.iter().zip(&self.typed).map(|(number, typed)| number.read(typed));
        let longest = read.next()?? as usize;
        let sampling = if self.is_sampled {
            Some(Sampling {
                temperature: read.next()??,
                top_p: read.next()??,
                top_k: read.next()?? as usize,
                seed: read.next()?? as u64,
            })
        } else {
            None
        };
        let system = if self.chat { self.system.trim().to_owned() } else { String::new() };
        Some(Wanted { chat: self.chat, system, longest, sampling })
    }
}

/// The controls.
pub fn view(settings: &Settings, disabled: bool, set: &Callback<Setting>) -> Html {
    let answers = set.reform(|event: Event| Setting::Sampled(field::selected(&event) == words::SAMPLED));
    let chat = set.reform(|event: Event| Setting::Chat(event.target_unchecked_into::<HtmlInputElement>().checked()));
    let system =
        set.reform(|event: InputEvent| Setting::System(event.target_unchecked_into::<HtmlTextAreaElement>().value()));
    html! {
        <fieldset class="ask-settings" {disabled}>
            <legend>{ words::SETTINGS }</legend>
            <div class="field">
                <label for="ask-answers">{ words::ANSWERS }</label>
                <select id="ask-answers" onchange={answers}>
                    <option selected={!settings.is_sampled}>{ words::GREEDY }</option>
                    <option selected={settings.is_sampled}>{ words::SAMPLED }</option>
                </select>
            </div>
            { for NUMBERS.iter().enumerate().map(|(at, one)| {
                number(one, at, &settings.typed[at], at > 0 && !settings.is_sampled, set)
            }) }
            <label class="check">
                <input type="checkbox" checked={settings.chat} onchange={chat} />
                <span>{ words::CHAT }</span>
                <span class="aside">{ words::CHAT_WHAT }</span>
            </label>
            <div class="field ask-system">
                <label for="ask-system">{ words::SYSTEM }</label>
                <textarea id="ask-system" rows="2" disabled={!settings.chat} aria-describedby="ask-system-what"
                    value={settings.system.clone()} oninput={system} />
                <p id="ask-system-what" class="aside">{ if settings.chat { words::SYSTEM_WHAT } else { words::SYSTEM_OFF } }</p>
            </div>
        </fieldset>
    }
}

/// A field. What is typed there is never put back: half a number is none, and would be lost.
fn number(number: &Number, at: usize, typed: &str, hidden: bool, set: &Callback<Setting>) -> Html {
    let set = set.reform(move |event: InputEvent| {
        Setting::Number(at, event.target_unchecked_into::<HtmlInputElement>().value())
    });
    let (id, why) = (format!("ask-number-{at}"), format!("ask-number-{at}-why"));
    let is_wrong = number.read(typed).is_none();
    html! {
        <div class="field" {hidden}>
            <label for={id.clone()}>{ number.label }</label>
            <input {id} type="number" inputmode="decimal" step={if number.is_whole { "1" } else { "any" }}
                min={number.range.start().to_string()} max={number.range.end().to_string()} ~defaultValue={number.default}
                aria-invalid={is_wrong.to_string()} aria-describedby={is_wrong.then(|| why.clone())} oninput={set} />
            if is_wrong {
                <p id={why} class="aside ask-wrong" role="alert">{ words::out_of_range(number) }</p>
            }
        </div>
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with(at: usize, typed: &str, is_sampled: bool) -> Option<Wanted> {
        let mut settings = Settings::default();
        settings.set(Setting::Sampled(is_sampled));
        settings.set(Setting::Number(at, typed.to_owned()));
        settings.read()
    }

    #[test]
    fn each_number_goes_where_it_belongs() {
        let mut settings = Settings::default();
        assert!(settings.read().unwrap().sampling.is_none());
        settings.set(Setting::Sampled(true));
        for (at, typed) in ["7", "1.5", "0.5", "40", "4294967295"].into_iter().enumerate() {
            settings.set(Setting::Number(at, typed.to_owned()));
        }
        let wanted = settings.read().unwrap();
        let sampling = Sampling { temperature: 1.5, top_p: 0.5, top_k: 40, seed: 4_294_967_295 };
        assert_eq!((wanted.longest, wanted.sampling), (7, Some(sampling)));
    }

    #[test]
    fn what_is_out_of_range_or_no_number_is_not_read() {
        for (at, typed) in [
            (0, "0"),
            (0, "4097"),
            (0, "1.5"),
            (0, ""),
            (1, "0"),
            (1, "5.1"),
            (1, "NaN"),
            (2, "1.01"),
            (2, "-1"),
            (3, "0.5"),
            (4, "-1"),
            (4, "4294967296"),
        ] {
            assert!(with(at, typed, true).is_none(), "{}: {typed}", NUMBERS[at].label);
        }
    }

    #[test]
    fn without_the_chat_template_there_is_no_system_message() {
        let mut settings = Settings::default();
        settings.set(Setting::System(" Be brief.\n".to_owned()));
        assert_eq!(settings.read().unwrap().system, "Be brief.");
        settings.set(Setting::Chat(false));
        assert_eq!(settings.read().unwrap().system, "");
    }

    #[test]
    fn numbers_that_do_not_count_are_not_looked_at() {
        assert!(with(1, "nothing", false).is_some());
    }
}
