//! A gradient as a small curve over the layers: drag its points, or move them with the arrow keys.

use yew::prelude::*;

use super::{numbers, points, words};

/// Width of the drawing, in its own units.
const WIDTH: f64 = 240.0;
/// Height of the drawing.
const HEIGHT: f64 = 72.0;
/// Room around the curve, so that points at its ends can be taken hold of.
const MARGIN: f64 = 8.0;
/// More points than this are edited in YAML.
const MOST_POINTS: usize = 12;

/// Properties of [`Curve`].
#[derive(Properties, PartialEq)]
pub struct CurveProps {
    /// What the curve is of.
    pub label: AttrValue,
    /// Its points, first layer to last.
    pub points: Vec<f64>,
    /// The useful range.
    pub min: f64,
    /// The useful range.
    pub max: f64,
    /// Called with all points when one moved.
    pub onset: Callback<Vec<f64>>,
}

/// The curve, its handles, and buttons for one point more or fewer.
#[component(Curve)]
pub fn curve(props: &CurveProps) -> Html {
    let drawing = use_node_ref();
    let dragged = use_mut_ref(|| None::<usize>);
    let count = props.points.len();
    let (low, high) = range(props);
    let place = |at: usize, value: f64| {
        let x = if count > 1 { at as f64 / (count - 1) as f64 } else { 0.5 };
        let y = (value - low) / (high - low);
        (MARGIN + x * (WIDTH - 2.0 * MARGIN), HEIGHT - MARGIN - y * (HEIGHT - 2.0 * MARGIN))
    };
    let path: Vec<String> = props
        .points
        .iter()
        .enumerate()
        .map(|(at, &value)| {
            let (x, y) = place(at, value);
            format!("{x:.1},{y:.1}")
        })
        .collect();
    let area = format!("{MARGIN},{0} {1} {2},{0}", HEIGHT - MARGIN, path.join(" "), WIDTH - MARGIN);

    // Keys and moves may come faster than the page is drawn: each goes on from the last, not from what was drawn.
    let latest = use_mut_ref(Vec::<f64>::new);
    latest.borrow_mut().clone_from(&props.points);
    let moved = {
        let (onset, latest) = (props.onset.clone(), latest.clone());
        move |at: usize, to: &dyn Fn(f64) -> f64| {
            let mut points = latest.borrow().clone();
            let Some(point) = points.get_mut(at) else { return };
            *point = (to(*point).clamp(low, high) * 100.0).round() / 100.0;
            latest.borrow_mut().clone_from(&points);
            onset.emit(points);
        }
    };
    let drag = {
        let (drawing, dragged, moved) = (drawing.clone(), dragged.clone(), moved.clone());
        Callback::from(move |event: PointerEvent| {
            let (Some(at), Some(element)) = (*dragged.borrow(), drawing.cast::<web_sys::Element>()) else { return };
            let bounds = element.get_bounding_client_rect();
            let inner = bounds.height() * (1.0 - 2.0 * MARGIN / HEIGHT);
            let from_top = f64::from(event.client_y()) - bounds.top() - bounds.height() * MARGIN / HEIGHT;
            moved(at, &|_| high - from_top / inner * (high - low));
        })
    };
    let release = {
        let dragged = dragged.clone();
        Callback::from(move |_: PointerEvent| *dragged.borrow_mut() = None)
    };
    let handle = |(at, &value): (usize, &f64)| {
        let (x, y) = place(at, value);
        let take = {
            let dragged = dragged.clone();
            Callback::from(move |event: PointerEvent| {
                *dragged.borrow_mut() = Some(at);
                if let Some(element) = event.target_dyn_into::<web_sys::Element>() {
                    // Without capture a fast drag merely leaves the handle behind.
                    let _ = element.set_pointer_capture(event.pointer_id());
                }
            })
        };
        let moved = moved.clone();
        let key = Callback::from(move |event: KeyboardEvent| {
            let step = (high - low) / if event.shift_key() { 10.0 } else { 100.0 };
            let large = (high - low) / 10.0;
            let to: &dyn Fn(f64) -> f64 = match event.key().as_str() {
                "ArrowUp" | "ArrowRight" => &|value| value + step,
                "ArrowDown" | "ArrowLeft" => &|value| value - step,
                "PageUp" => &|value| value + large,
                "PageDown" => &|value| value - large,
                "Home" => &|_| low,
                "End" => &|_| high,
                _ => return,
            };
            event.prevent_default();
            moved(at, to);
        });
        html! {
            <circle key={at} class="curve-point" cx={format!("{x:.1}")} cy={format!("{y:.1}")} r="6" tabindex="0" role="slider"
                aria-label={words::recipe::point_of(&props.label, at, count)} aria-valuemin={numbers::plain(low)}
                aria-valuemax={numbers::plain(high)} aria-valuenow={numbers::plain(value)} aria-orientation="vertical"
                onpointerdown={take} onkeydown={key} />
        }
    };
    let resize = |to: usize| {
        let points = props.points.clone();
        props.onset.reform(move |_: MouseEvent| points::resampled(&points, to))
    };
    html! {
        <div class="curve">
            <svg ref={drawing.clone()} viewBox={format!("0 0 {WIDTH} {HEIGHT}")} onpointermove={drag}
                onpointerup={release.clone()} onpointercancel={release}>
                <line class="curve-axis" x1={MARGIN.to_string()} x2={(WIDTH - MARGIN).to_string()}
                    y1={(HEIGHT - MARGIN).to_string()} y2={(HEIGHT - MARGIN).to_string()} />
                <polygon class="curve-area" points={area} />
                <polyline class="curve-line" points={path.join(" ")} />
                { for props.points.iter().enumerate().map(handle) }
            </svg>
            <div class="curve-feet">
                <span>{ words::recipe::FIRST_LAYER }</span>
                <span class="curve-buttons">
                    <button type="button" class="quiet small" disabled={count <= 2} onclick={resize(count.saturating_sub(1))}>
                        { words::recipe::REMOVE_POINT }
                    </button>
                    <button type="button" class="quiet small" disabled={count >= MOST_POINTS} onclick={resize(count + 1)}>
                        { words::recipe::ADD_POINT }
                    </button>
                </span>
                <span>{ words::recipe::LAST_LAYER }</span>
            </div>
        </div>
    }
}

/// The useful range, widened by points that lie outside of it.
fn range(props: &CurveProps) -> (f64, f64) {
    let low = props.points.iter().copied().fold(props.min, f64::min);
    let high = props.points.iter().copied().fold(props.max, f64::max);
    if high > low { (low, high) } else { (low, low + 1.0) }
}
