//! The sentences of the region, in English.

use merge_studio_web::ui::numbers;
use merge_studio_web::ui::words::count;

use super::Missing;
use super::knob::{Knob, Now, Target};
use crate::view::run::{Run, State};
use crate::view::words::known;

/// Tasks that are named, where there are more than one more.
const NAMED: usize = 5;

pub const REGION: &str = "Sweep";
pub const WHAT: &str = "Which number does the recipe want? Vary one over a few values: each merge is made in memory and asked the tasks \
    chosen above, and nothing is written. A click on a point makes it the recipe.";
pub const VARY: &str = "Vary";
pub const FROM: &str = "From";
pub const TO: &str = "To";
pub const POINTS: &str = "Points";
pub const START: &str = "Sweep";
pub const CANCEL: &str = "Cancel";
pub const PROGRESS: &str = "Sweep progress";
pub const RESULTS: &str = "Sweep results";
pub const NOTHING: &str = "–";
pub const SEVERAL: &str = "The recipe has more than one number for it now (along its layers, by filters, or by inputs). Each merge has one in their place.";
pub const NO_RANGE: &str = "From must be less than To.";
pub const EVALUATING: &str =
    "An evaluation is on its way above, which takes the processors and the memory. This can start when it is over.";
pub const RECIPE_NOW: &str = "recipe";
pub const LEGEND: &str = "Value ± standard error. A value is marked as the best only where it is better than each other one by more than the \
    difference's own error. The dashed line is what the recipe says.";
pub const CHANGED: &str = "The recipe was changed since. A click on a point puts that of the sweep in its place.";
pub const BACK: &str = "Back to the recipe before";

/// Why there is nothing to vary.
pub fn missing(missing: &Missing) -> String {
    match missing {
        Missing::Recipe => "There is no recipe. Write one in the view Merge, and come back.".to_owned(),
        Missing::Errors(errors) => {
            format!("The recipe has {}. Mend it in the view Merge first.", count(*errors as u64, "error", "errors"))
        }
        Missing::Stages => {
            "A recipe of several documents cannot be varied here: what its stages make would have to be written first."
                .to_owned()
        }
        Missing::Model(name) => format!("No loaded model stands for {name}. Say in the view Merge which it is."),
        Missing::Numbers(method) => format!("The method {method} has no number to vary."),
    }
}

/// What the choice is called.
pub fn knob(knob: &Knob) -> String {
    let name = knob.info.name;
    match &knob.target {
        Target::Shared => name.to_owned(),
        Target::All => format!("{name} of all inputs"),
        Target::Input(input) => format!("{name} of {input}"),
    }
}

/// A point.
pub fn point(knob: &Knob, value: f64) -> String {
    match &knob.target {
        Target::Shared | Target::All => format!("{} {}", knob.info.name, number(value)),
        Target::Input(_) => format!("{} {}", self::knob(knob), number(value)),
    }
}

/// What a number is, its useful range, and what the recipe says.
pub fn about(knob: &Knob, now: Now) -> String {
    let (min, max) = knob.range;
    let now = match now {
        Now::One(now) => format!(" The recipe has {}.", number(now)),
        Now::Nothing => " The recipe has none.".to_owned(),
        Now::Several => String::new(),
    };
    format!("{} Useful from {} to {}.{now}", knob.info.help, number(min), number(max))
}

/// What will be merged.
pub fn plan(values: &[f64], tasks: &[String], limit: Option<usize>) -> String {
    if tasks.is_empty() {
        return "No task is chosen above.".to_owned();
    }
    let questions = limit.map_or_else(|| "all questions".to_owned(), |limit| format!("up to {limit} questions"));
    let values: Vec<String> = values.iter().map(|value| number(*value)).collect();
    let more = tasks.len().saturating_sub(NAMED);
    let more = if more > 1 { format!(" and {more} more tasks") } else { String::new() };
    let named = if more.is_empty() { tasks } else { &tasks[..NAMED] };
    format!("{}; {questions} each of {}{more}.", values.join(" · "), named.join(", "))
}

pub fn use_point(point: &str) -> String {
    format!("Use {point}")
}

/// The status line: it changes only when the moment does.
pub fn stage(run: &Run) -> String {
    let values = |number: usize| count(number as u64, "value", "values");
    let of = |is_it: &dyn Fn(&State) -> bool| run.states.iter().filter(|state| is_it(state)).count();
    if run.is_cancelled {
        "Cancelled. What was found stays below.".to_owned()
    } else if !run.is_going() {
        match of(&|state| *state == State::Done) {
            0 => "Nothing could be evaluated.".to_owned(),
            done => {
                format!("{} merged and asked in {}{}", values(done), numbers::seconds(run.seconds), known(run))
            }
        }
    } else if of(&|state| *state != State::Waiting) == 0 {
        "Starting …".to_owned()
    } else {
        format!("Merging and asking: {} of {} done …", of(&State::is_over), values(run.states.len()))
    }
}

/// A point was taken.
pub fn used(point: &str, keeps_comments: bool) -> String {
    let comments = if keeps_comments { "" } else { " (it is written anew: comments are not kept)" };
    format!("The recipe has {point} now{comments}. The view Merge shows it, and merges it into a folder.")
}

/// As it was written; a true minus.
pub fn number(value: f64) -> String {
    value.to_string().replace('-', "−")
}
