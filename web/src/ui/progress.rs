//! How far the merge is.

use yew::prelude::*;

use super::numbers;
use super::words::run as words;
use crate::protocol::Progress;

/// The bar and the numbers below it: what was heard last, and whether it is being stopped.
pub fn progress_view(progress: Option<&Progress>, cancelling: bool) -> Html {
    let Some(progress) = progress else { return bytes_view(words::PROGRESS, None) };
    let (percent, done) = share(progress.bytes_done, progress.bytes_total);
    let tensors = words::of(
        &progress.tensors_done.to_string(),
        &super::words::count(progress.tensors_total.into(), "tensor", "tensors"),
    );
    let left = (progress.rate > 0.0)
        .then(|| words::left(progress.bytes_total.saturating_sub(progress.bytes_done) as f64 / progress.rate));
    html! {
        <div class={classes!("progress", cancelling.then_some("is-cancelling"))}>
            { bar(words::PROGRESS, percent, &done) }
            <p class="progress-numbers">
                <span>{ format!("{percent:.0} %") }</span>
                <span>{ done }</span>
                <span>{ tensors }</span>
                if progress.rate > 0.0 {
                    <span>{ words::rate(progress.rate) }</span>
                }
                if let Some(left) = left {
                    <span>{ left }</span>
                }
            </p>
            if let Some(stage) = &progress.stage {
                <p class="progress-stage">{ words::stage(stage) }</p>
            }
            <p class="progress-tensor">{ &progress.tensor }</p>
        </div>
    }
}

/// A bar called `label` and the numbers below it, of bytes done and in all; of none until they are known.
pub fn bytes_view(label: &'static str, bytes: Option<(u64, u64)>) -> Html {
    let (bar, words) = if let Some((done, total)) = bytes {
        let (percent, done) = share(done, total);
        (bar(label, percent, &done), format!("{percent:.0} % · {done}"))
    } else {
        let waiting = html! { <div class="bar is-waiting" role="progressbar" aria-label={label}><span /></div> };
        (waiting, words::STARTING.to_owned())
    };
    html! { <div class="progress">{ bar }<p class="progress-numbers"><span>{ words }</span></p></div> }
}

/// The share that is done, in percent, and in words.
fn share(done: u64, total: u64) -> (f64, String) {
    let share = if total == 0 { 0.0 } else { done as f64 / total as f64 };
    (share * 100.0, words::of(&numbers::bytes(done), &numbers::bytes(total)))
}

/// A bar called `label`, and what is done in words.
pub fn bar(label: &'static str, percent: f64, done: &str) -> Html {
    html! {
        <div class="bar" role="progressbar" aria-label={label} aria-valuemin="0" aria-valuemax="100"
            aria-valuenow={format!("{percent:.0}")} aria-valuetext={format!("{percent:.0} %, {done}")}>
            <span style={format!("inline-size: {percent:.2}%")} />
        </div>
    }
}
