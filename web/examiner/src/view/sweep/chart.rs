//! The curves of a sweep: a chart a metric, a curve a task, and a button a value.
//!
//! Lines are drawn in a box of 100 by 100 that is stretched over the plot; markers and words stand over it in CSS, so that they keep
//! their size and shape at every width.

use merge_studio_eval::task::Measured;
use yew::prelude::*;

use super::{Swept, words};
use crate::view::words as all;

/// Series that differ in colour, marker and dashes; then they begin again.
const STYLES: usize = 6;
/// Markers in a box of 16 by 16.
const MARKERS: [&str; STYLES] = [
    "M8 2.5a5.5 5.5 0 1 0 .01 0z",
    "M3 3h10v10H3z",
    "M8 1.5 14.5 13.5h-13z",
    "M8 1 15 8 8 15 1 8z",
    "M6 1.5h4V6h4.5v4H10v4.5H6V10H1.5V6H6z",
    "M8 14.5 1.5 2.5h13z",
];
const DASHES: [&str; STYLES] = ["none", "7 3", "2 3", "9 3 2 3", "5 2 2 2 2 2", "1 4"];
/// Distances between the lines of a scale, times powers of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
/// Percent of a plot's width between two tasks' points at the same value, at most.
const APART: f64 = 1.5;
/// Numbers may be off by what f64 rounds.
const ROUNDING: f64 = 1e-9;
/// Lines of a scale, about.
const LINES: f64 = 5.0;

/// A task's curve.
struct Series<'a> {
    name: &'a str,
    /// The value's place in the sweep, what was measured, its standard error, and whether every question was answered.
    points: Vec<(usize, f64, f64, bool)>,
}

/// A chart for each metric that a task has first.
pub fn charts(swept: &Swept, now: Option<f64>, on_use: &Callback<usize>) -> Html {
    let run = &swept.run;
    let mut charts: Vec<(String, Vec<Series<'_>>)> = Vec::new();
    for (task, info) in run.tasks.iter().enumerate() {
        let Some(measured) = run.measures(task).first().copied() else { continue };
        let series = Series { name: &info.name, points: points(swept, task, measured) };
        let metric = all::metric(measured);
        match charts.iter_mut().find(|(name, _)| *name == metric) {
            Some((_, all)) => all.push(series),
            None => charts.push((metric, vec![series])),
        }
    }
    html! { <>{ for charts.iter().map(|(metric, series)| chart(swept, metric, series, now, on_use)) }</> }
}

fn points(swept: &Swept, task: usize, measured: &Measured) -> Vec<(usize, f64, f64, bool)> {
    let cells = swept.run.cells[task].iter().enumerate();
    let point = |(at, cell): (usize, &crate::view::run::Cell)| {
        let results = cell.results.as_ref()?;
        let own = results.get(&measured.metric, &measured.filter)?;
        let is_whole = results.answered == swept.run.questions(task);
        own.value.is_finite().then_some((at, own.value, own.error.unwrap_or_default(), is_whole))
    };
    cells.filter_map(point).collect()
}

fn chart(swept: &Swept, metric: &str, series: &[Series<'_>], now: Option<f64>, on_use: &Callback<usize>) -> Html {
    let all = series.iter().flat_map(|series| &series.points);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value, error, _)| {
        (low.min(value - error), high.max(value + error))
    });
    let scale = Scale::over(low, high);
    let count = swept.values.len() as f64;
    let middle = |at: usize| (at as f64 + 0.5) * 100.0 / count;
    // Tasks stand a little beside each other, so that equal ones are seen.
    let apart = APART.min(50.0 / count / series.len() as f64);
    let aside = |number: usize| (number as f64 - (series.len() - 1) as f64 / 2.0) * apart;
    // Values stand at equal distances, each in the middle of its column.
    let step = (swept.values[swept.values.len() - 1] - swept.values[0]) / (count - 1.0);
    let place = |value: f64| ((value - swept.values[0]) / step + 0.5) * 100.0 / count;
    let now = now.map(place).filter(|place| (0.0..=100.0).contains(place));
    let is_there = |at: usize| series.iter().any(|series| series.points.iter().any(|point| point.0 == at));
    let columns = (0..swept.values.len()).filter(|at| is_there(*at)).map(|at| {
        let onclick = on_use.reform(move |_: MouseEvent| at);
        let words = words::use_point(&swept.run.models[at]);
        html! {
            <button key={at} type="button" class="sweep-column" aria-label={words.clone()} title={words}
                aria-pressed={(swept.used == Some(at)).to_string()} {onclick}
                style={format!("left: {:.3}%; width: {:.3}%", middle(at) - 50.0 / count, 100.0 / count)} />
        }
    });
    html! {
        <figure class="sweep-chart">
            <figcaption>
                <span>{ metric }</span>
                <ul class="sweep-key">{ for series.iter().enumerate().map(|(at, series)| html! {
                    <li class={class_of(at)}>{ marker(at, None) }{ series.name }</li>
                }) }</ul>
            </figcaption>
            <div class="sweep-frame">
                <div class="sweep-scale" aria-hidden="true">{ for scale.lines().map(|line| html! {
                    <span style={format!("top: {:.2}%", scale.place(line))}>{ scale.words(line) }</span>
                }) }</div>
                <div class="sweep-plot">
                    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
                        { for scale.lines().map(|line| {
                            let y = format!("{:.2}", scale.place(line));
                            html! { <line class="sweep-line" x1="0" x2="100" y1={y.clone()} y2={y} /> }
                        }) }
                        if let Some(now) = now {
                            <line class="sweep-now" x1={format!("{now:.2}")} x2={format!("{now:.2}")} y1="0" y2="100" />
                        }
                        { for series.iter().enumerate().map(|(number, series)| {
                            curve(number, series, &scale, &|at| middle(at) + aside(number))
                        }) }
                    </svg>
                    { for series.iter().enumerate().flat_map(|(number, series)| {
                        series.points.iter().map(move |point| (number, point))
                    }).map(|(number, &(at, value, _, is_whole))| {
                        marker(number, Some((middle(at) + aside(number), scale.place(value), is_whole)))
                    }) }
                    { for columns }
                </div>
                <div class="sweep-values" aria-hidden="true">{ for swept.values.iter().enumerate().map(|(at, value)| html! {
                    <span style={format!("left: {:.3}%", middle(at))}>{ words::number(*value) }</span>
                }) }</div>
                <p class="sweep-axis">{ words::knob(&swept.knob) }</p>
            </div>
        </figure>
    }
}

fn class_of(series: usize) -> String {
    format!("sweep-series is-{}", series % STYLES)
}

/// A series' line, and the standard error of each of its points.
fn curve(number: usize, series: &Series<'_>, scale: &Scale, place: &impl Fn(usize) -> f64) -> Html {
    let line: Vec<String> =
        series.points.iter().map(|(at, value, ..)| format!("{:.2},{:.2}", place(*at), scale.place(*value))).collect();
    let bar = |(at, value, error, _): &(usize, f64, f64, bool)| {
        let x = format!("{:.2}", place(*at));
        html! { <line class="sweep-error" x1={x.clone()} x2={x} y1={format!("{:.2}", scale.place(value - error))} y2={format!("{:.2}", scale.place(value + error))} /> }
    };
    html! {
        <g class={class_of(number)}>
            <polyline points={line.join(" ")} stroke-dasharray={DASHES[number % STYLES]} />
            { for series.points.iter().filter(|(_, _, error, _)| *error > 0.0).map(bar) }
        </g>
    }
}

/// In the key, or over the plot at a place in percent; hollow where questions are left.
fn marker(series: usize, place: Option<(f64, f64, bool)>) -> Html {
    let style = place.map(|(x, y, _)| format!("left: {x:.3}%; top: {y:.3}%"));
    let hollow = place.is_some_and(|(.., is_whole)| !is_whole).then_some("is-hollow");
    html! {
        <svg class={classes!("sweep-marker", class_of(series), hollow)} {style} viewBox="0 0 16 16" aria-hidden="true">
            <path d={MARKERS[series % STYLES]} />
        </svg>
    }
}

/// A vertical scale with round numbers.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// One that has room for what lies between two numbers.
    fn over(low: f64, high: f64) -> Self {
        let (low, high) = if low < high {
            (low, high)
        } else {
            let middle = if low.is_finite() { low } else { 0.0 };
            let around = if middle == 0.0 { 1.0 } else { middle.abs() / 10.0 };
            (middle - around, middle + around)
        };
        let least = (high - low) / LINES;
        let power = 10f64.powf(least.log10().floor());
        let step = power * STEPS.into_iter().find(|step| step * power >= (1.0 - ROUNDING) * least).unwrap_or(10.0);
        let (first, last) = ((low / step + ROUNDING).floor(), (high / step - ROUNDING).ceil());
        Self { low: first * step, high: last * step, step }
    }

    fn lines(&self) -> impl Iterator<Item = f64> {
        let (low, step) = (self.low, self.step);
        let count = ((self.high - low) / step).round() as usize;
        (0..=count).map(move |line| low + line as f64 * step)
    }

    /// Percent from the top.
    fn place(&self, value: f64) -> f64 {
        (self.high - value) / (self.high - self.low) * 100.0
    }

    /// As many decimals as the step has.
    fn words(&self, line: f64) -> String {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        let rounded = if line.abs() < self.step / 2.0 { 0.0 } else { line };
        format!("{rounded:.decimals$}").replace('-', "−")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(low: f64, high: f64) -> Vec<String> {
        let scale = Scale::over(low, high);
        assert!(scale.low <= low + 1e-9 && high <= scale.high + 1e-9);
        scale.lines().map(|line| scale.words(line)).collect()
    }

    #[test]
    fn scales_have_round_numbers_and_room() {
        assert_eq!(words(0.05, 0.97), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(words(0.91, 0.95), ["0.91", "0.92", "0.93", "0.94", "0.95"]);
        assert_eq!(words(-3.0, 12.0), ["−5", "0", "5", "10", "15"]);
        assert_eq!(words(1200.0, 1900.0), ["1200", "1400", "1600", "1800", "2000"]);
        assert_eq!(words(0.5, 0.5), ["0.44", "0.46", "0.48", "0.50", "0.52", "0.54", "0.56"]);
        // An error as large as its value ends at 0, but for rounding.
        assert_eq!(words(-5e-17, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(words(0.0, 0.0), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
    }

    #[test]
    fn places_are_from_the_top() {
        let scale = Scale::over(0.0, 1.0);
        assert_eq!([scale.place(1.0), scale.place(0.5), scale.place(0.0)], [0.0, 50.0, 100.0]);
    }
}
