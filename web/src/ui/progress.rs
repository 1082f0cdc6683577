//! How far the merge is.

use yew::prelude::*;

use super::numbers;
use super::words::run as words;
use crate::protocol::Progress;

/// The bar and the numbers below it: what was heard last, and whether it is being stopped.
pub fn progress_view(progress: Option<&Progress>, cancelling: bool) -> Html {
    let Some(progress) = progress else {
        return html! {
            <div class="progress">
                <div class="bar is-waiting" role="progressbar" aria-label={words::PROGRESS}><span /></div>
                <p class="progress-numbers"><span>{ words::STARTING }</span></p>
            </div>
        };
    };
    let share = if progress.bytes_total == 0 { 0.0 } else { progress.bytes_done as f64 / progress.bytes_total as f64 };
    let percent = share * 100.0;
    let done = words::of(&numbers::bytes(progress.bytes_done), &numbers::bytes(progress.bytes_total));
    let tensors = words::of(
        &progress.tensors_done.to_string(),
        &super::words::count(progress.tensors_total.into(), "tensor", "tensors"),
    );
    let left = (progress.rate > 0.0)
        .then(|| words::left(progress.bytes_total.saturating_sub(progress.bytes_done) as f64 / progress.rate));
    html! {
        <div class={classes!("progress", cancelling.then_some("is-cancelling"))}>
            <div class="bar" role="progressbar" aria-label={words::PROGRESS} aria-valuemin="0" aria-valuemax="100"
                aria-valuenow={format!("{percent:.0}")} aria-valuetext={format!("{percent:.0} %, {done}")}>
                <span style={format!("inline-size: {percent:.2}%")} />
            </div>
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
