//! A number as a spin button and a slider together, under one name.

use yew::prelude::*;

use super::numbers;

/// What [`number`] shows.
pub struct NumberProps {
    /// The accessible name of both.
    pub label: AttrValue,
    /// What it is.
    pub value: f64,
    /// The slider's range.
    pub min: f64,
    /// The slider's range.
    pub max: f64,
    /// The least number that can be typed.
    pub floor: Option<f64>,
    /// Whether nobody wrote the value: it is the default, shown quietly.
    pub unset: bool,
    /// Called when the value changes.
    pub onset: Callback<f64>,
}

/// The two controls. A number outside the slider's range stays what it is; the slider stands at its end.
///
/// The field's number is set as a property, which is touched when the number changes: `value` would be put back at every drawing,
/// while somebody types.
pub fn number(props: &NumberProps) -> Html {
    let range = props.max - props.min;
    let steps = if range > 10.0 { 1.0 } else { (range / 100.0).min(0.01) };
    let slide = props.onset.reform(move |event: InputEvent| typed(&event).unwrap_or_default());
    let enter = {
        let onset = props.onset.clone();
        let value = props.value;
        Callback::from(move |event: Event| {
            let input: web_sys::HtmlInputElement = event.target_unchecked_into();
            match input.value().trim().parse::<f64>() {
                Ok(number) if number.is_finite() => onset.emit(number),
                // An empty or broken field goes back to what counts.
                _ => input.set_value(&numbers::plain(value)),
            }
        })
    };
    let filled = ((props.value - props.min) / range).clamp(0.0, 1.0) * 100.0;
    html! {
        <span class={classes!("number", props.unset.then_some("is-unset"))}>
            <input type="range" aria-label={props.label.clone()} min={props.min.to_string()} max={props.max.to_string()}
                step={steps.to_string()} value={numbers::plain(props.value)} style={format!("--filled: {filled:.1}%")}
                oninput={slide} />
            <input type="number" aria-label={props.label.clone()} inputmode="decimal" step="any"
                min={props.floor.map(|floor| floor.to_string())} ~valueAsNumber={props.value} onchange={enter} />
        </span>
    }
}

fn typed(event: &InputEvent) -> Option<f64> {
    event.target_unchecked_into::<web_sys::HtmlInputElement>().value().parse().ok()
}

/// The value of the select that an event is about.
pub fn selected(event: &Event) -> String {
    event.target_unchecked_into::<web_sys::HtmlSelectElement>().value()
}

/// The value of the input that an event is about.
pub fn entered(event: &Event) -> String {
    event.target_unchecked_into::<web_sys::HtmlInputElement>().value()
}

/// Gives an element the keyboard.
pub fn focus(element: &NodeRef) {
    if let Some(element) = element.cast::<web_sys::HtmlElement>() {
        // It is in the page; if it were not, the keyboard would stay where it is.
        let _ = element.focus();
    }
}
