//! Every sentence of the view, in English.

pub mod ask;

use merge_studio_eval::task::{Measured, Output};
use merge_studio_web::ui::numbers;
use merge_studio_web::ui::words::{count, listed, sentence};

use super::questions::Which;
use super::run::{Run, State};
use crate::protocol::{Refusal, TaskInfo};

/// The region.
pub const REGION: &str = "Evaluate";
/// Before anything was asked.
pub const TEACH: &str = "Does the merge still know what its parents knew? Choose models and tasks, then Start: each model is asked \
    lm-evaluation-harness's own questions, in this tab, a sample first. What changes there is what merging changed.";
pub const MODELS: &str = "Models";
pub const NO_MODELS: &str = "No model is loaded. Add one in the view Merge.";
pub const TASKS: &str = "Tasks";
pub const ADD_TASKS: &str = "Add task files";
pub const WHICH_FILES: &str = "lm-evaluation-harness's task files (.yaml) chosen together with their data, or JSON Lines (.jsonl) alone. They \
    can be dropped here, too.";
pub const NO_TASKS: &str = "No task is there. Add files, or load the demo models in the view Merge: they bring three.";
pub const NOT_READY: &str = "Choose at least one model and one task.";
pub const SWEEPING: &str =
    "A sweep is on its way below, which takes the processors and the memory. This can start when it is over.";
pub const READING: &str = "Task files are being read …";
pub const QUESTIONS: &str = "Questions";
pub const ALL: &str = "all";
pub const START: &str = "Start";
pub const CANCEL: &str = "Cancel";
pub const PROGRESS: &str = "Evaluation progress";
pub const RESULTS: &str = "Results";
pub const TASK: &str = "Task";
pub const NOTHING: &str = "–";
pub const BEST: &str = "best";
pub const LEGEND: &str = "Value ± standard error, as lm-evaluation-harness has them. A model is marked as the best only where it is better than each \
    other one by more than the difference's own error. A task's name opens its questions.";
pub const COMPARE: &str = "Compare";
pub const AGAINST: &str = "Against";
pub const NO_QUESTIONS: &str = "There are none.";
pub const RIGHT_ANSWER: &str = "right answer";
pub const RIGHT: &str = "right";
pub const WRONG: &str = "wrong";
pub const CHOICE: &str = "Choice";
pub const TEXT: &str = "Text";
pub const CHOSEN: &str = "chosen";
pub const SAVE: &str = "Save results";
pub const SAVE_WHAT: &str = "lm-evaluation-harness's results JSON, a file a model.";
pub const SAVE_LATER: &str = "They can be saved when all questions are answered.";
pub const ZIP_NAME: &str = "results.zip";
pub const FURTHER: &str = "Take it further";
pub const FURTHER_WHAT: &str = "The same questions, and the public tasks in full, with lm-evaluation-harness itself: download the merged folder, and put the task \
    files and their data beside it.";
pub const COMMANDS: &str = "lm_eval commands";
pub const COPY: &str = "Copy commands";
pub const COPIED: &str = "Copied.";
pub const NOT_COPIED: &str = "The browser did not let them be copied: mark them and copy them by hand.";

/// What a task is, in short.
pub fn about(task: &TaskInfo) -> String {
    let kind = match task.output {
        Output::MultipleChoice => "multiple choice",
        Output::LogLikelihood => "likelihood of an ending",
        Output::LogLikelihoodRolling => "perplexity",
        Output::GenerateUntil => "written answers",
    };
    let own = if task.is_public { " · public task" } else { "" };
    format!("{} · {kind}{own}", count(task.questions as u64, "question", "questions"))
}

/// A file that is no task.
pub fn no_task(file: &str, why: &str) -> String {
    // Errors with a place begin with the file's name.
    if why.starts_with(file) { format!("{why}.") } else { format!("{file}: {}", sentence(why)) }
}

pub fn remove(file: &str) -> String {
    format!("Remove {file}")
}

pub fn no_demo(file: &str) -> String {
    format!(
        "The demo models' own task {file} could not be fetched. Check the connection and reload the page, or add task files."
    )
}

/// The status line: it changes only when the moment does.
pub fn stage(run: &Run) -> String {
    if run.is_cancelled {
        return "Cancelled. What was answered so far stays below.".to_owned();
    }
    let (done, all) = run.answered();
    if !run.is_going() && all == 0 {
        "Nothing could be evaluated.".to_owned()
    } else if !run.is_going() {
        format!("Evaluated in {}{}", numbers::seconds(run.seconds), known(run))
    } else if run.states.iter().all(|state| *state == State::Waiting) {
        "Starting …".to_owned()
    } else if done == 0 {
        "Models are being read …".to_owned()
    } else {
        match run.waiting() {
            0 => "Questions are being asked …".to_owned(),
            waiting => {
                let who = count(waiting as u64, "model waits for its turn", "models wait for their turn");
                format!("Questions are being asked; {who} …")
            }
        }
    }
}

/// How much was known from before: the end of a sentence.
pub fn known(run: &Run) -> String {
    match (run.known, run.answered().1) {
        (0, _) => ".".to_owned(),
        (known, all) if known == all => ": all answers were known from before.".to_owned(),
        (known, all) => format!(": {} were known from before.", answered(known, all)),
    }
}

pub fn answered(done: usize, all: usize) -> String {
    format!("{} of {}", numbers::grouped(done as u64), count(all as u64, "answer", "answers"))
}

/// A metric, and which way it is better.
pub fn metric(measured: &Measured) -> String {
    let arrow = if measured.higher_is_better { "↑" } else { "↓" };
    let filter = if measured.filter == "none" { String::new() } else { format!(", {}", measured.filter) };
    format!("{}{filter} {arrow}", measured.metric)
}

/// Four decimals, as lm-evaluation-harness prints them; a true minus.
pub fn figure(value: f64) -> String {
    format!("{value:.4}").replace('-', "−")
}

pub fn error(error: f64) -> String {
    format!("± {error:.4}")
}

pub fn so_far(answered: usize, all: usize) -> String {
    format!("{answered} of {all}")
}

/// Why a model has no results.
pub fn refused(model: &str, why: &Refusal) -> String {
    match why {
        Refusal::Adapter => format!("{model} is an adapter, and no model by itself. Merge it first."),
        Refusal::Lacks(file) => {
            format!("{model} cannot be evaluated: it has no {file}. Add its whole folder in the view Merge.")
        }
        Refusal::Memory { wanted } => format!(
            "{model} cannot be evaluated here: it takes about {} of memory, more than this browser gives a page. Close other tabs, or use \
             the command line.",
            numbers::bytes(*wanted)
        ),
        Refusal::Prompt { tokens, context } => format!(
            "{model} cannot answer: the prompt has {}, and the model reads {} with its answer. Shorten the prompt.",
            count(*tokens as u64, "token", "tokens"),
            numbers::grouped(*context as u64)
        ),
        Refusal::Words(why) => format!("{model} cannot be evaluated: {}", sentence(why)),
    }
}

/// Why a model has not all of its results.
pub fn died(model: &str, why: &str) -> String {
    format!(
        "{model} stopped: what evaluated it ran out of memory or died ({why}). What it answered so far stays. Choose fewer or \
         smaller models, or close other tabs, then start again."
    )
}

/// Why models could not go on with tasks.
pub fn stuck(tasks: &[String], models: &[String], why: &str) -> String {
    format!("{} stopped for {}: {}", listed(tasks), listed(models), sentence(why))
}

/// Why a task of this name is none.
pub fn same_name(task: &str) -> String {
    format!("another task is called {task}. Rename one of them (`task:` in a task file, or the data file itself)")
}

/// Why a task stopped.
pub fn broken(task: &str, why: &str) -> String {
    format!("{task} stopped: {}", sentence(why))
}

pub fn questions_of(task: &str) -> String {
    format!("Questions of {task}")
}

pub fn question(document: usize) -> String {
    format!("Question {}", document + 1)
}

pub fn which(which: Which, number: Option<usize>) -> String {
    let name = match which {
        Which::All => "All",
        Which::Won => "Won",
        Which::Lost => "Lost",
    };
    number.map_or_else(|| name.to_owned(), |number| format!("{name} ({number})"))
}

pub fn more(left: usize) -> String {
    format!("Show more ({left} left)")
}

/// A written answer, so that an empty one is seen.
pub fn written(text: &str) -> String {
    if text.is_empty() { "(nothing)".to_owned() } else { text.to_owned() }
}

/// What to type where lm-evaluation-harness is installed.
pub fn commands(models: &[String], tasks: &[TaskInfo], limit: Option<usize>) -> String {
    let mut lines = Vec::new();
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    for (task, written) in tasks.iter().filter_map(|task| Some((task, task.written.as_ref()?))) {
        lines.push(format!("cat > {} <<'END'\n{written}END", quoted(&format!("{}.yaml", task.name))));
    }
    let limit = limit.map_or_else(String::new, |limit| format!(" --limit {limit}"));
    let call = |model: &str, tasks: &str, rest: &str| {
        format!(
            "lm_eval --model hf --model_args pretrained={model},dtype=float32 --tasks {tasks} --batch_size auto{rest}"
        )
    };
    for model in models {
        lines.push(call(&quoted(model), &names.join(","), &format!(" --include_path .{limit}")));
    }
    lines.push("# The public tasks in full:".to_owned());
    let last = models.last().map(|model| quoted(model)).unwrap_or_default();
    lines.push(call(&last, "medmcqa,medqa_4options,pubmedqa,arc_challenge,hellaswag,mmlu", ""));
    lines.join("\n")
}

/// A folder's name as a shell takes it.
fn quoted(name: &str) -> String {
    let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./+".contains(letter));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_lm_eval_with_a_true_minus() {
        assert_eq!(figure(0.915), "0.9150");
        assert_eq!(figure(-12.345_67), "−12.3457");
    }

    #[test]
    fn commands_name_each_model_and_the_limit() {
        let task = TaskInfo {
            name: "sums".into(),
            output: Output::GenerateUntil,
            questions: 3,
            written: None,
            is_public: false,
        };
        let bare = TaskInfo { name: "bare".into(), written: Some("task: \"bare\"\n".into()), ..task.clone() };
        let text = commands(&["a".into()], &[bare], None);
        assert!(text.starts_with("cat > bare.yaml <<'END'\ntask: \"bare\"\nEND\nlm_eval "), "{text}");
        let text = commands(&["a".into(), "my merge".into()], &[task], Some(20));
        assert!(
            text.contains("pretrained=a,dtype=float32 --tasks sums --batch_size auto --include_path . --limit 20"),
            "{text}"
        );
        assert!(text.contains("pretrained='my merge',dtype=float32 --tasks sums "), "{text}");
        assert!(!text.contains("cat"), "{text}");
    }

    #[test]
    fn a_file_is_named_once() {
        assert_eq!(no_task("a.yaml", "a.yaml:1:2: no"), "a.yaml:1:2: no.");
        assert_eq!(no_task("a.yaml", "no"), "a.yaml: No.");
    }
}
