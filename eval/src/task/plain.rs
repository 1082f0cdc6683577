//! A data file alone: what is asked follows from its fields, where they are one of the few kinds that need no saying.

use std::sync::Arc;

use super::config::{Config, Source, greedy};
use super::filter::Pipeline;
use super::metric::{Measure, Metric};
use super::{Documents, Error, Output, Task, Value};

/// The most tokens that an answer may take.
const MAX_TOKENS: usize = 32;

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

impl Task {
    /// The task that a data file makes by itself, named as the file without its extension:
    ///
    /// * `question`, `choices` (texts) and `answer` (a choice's place from 0, its letter or its text): multiple choice, `acc` and
    ///   `acc_norm`, of the prompt `Question: …\nAnswer:`;
    /// * `question` and `answer`, or `prompt` and `completion` (texts): generated up to a line break, 32 tokens at most, compared without
    ///   the white space around it: `exact_match`;
    /// * `text` alone: its perplexity by words and bytes.
    ///
    /// Anything else is refused by the fields that there are.
    pub fn plain(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let documents = Documents::read(&[(file, bytes)])?;
        let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let has = |field: &str| documents.fields.iter().any(|other| other == field);
        let all = |field: &str, fits: &dyn Fn(&Value, &Value) -> bool| {
            has(field) && documents.rows.iter().all(|row| row.get(field).is_some_and(|value| fits(value, row)))
        };
        let texts = |field: &str| all(field, &|value, _| value.text().is_some());
        let config = if has("choices") {
            choosing(name, &all)
        } else if texts("question") && texts("answer") {
            Some(writing(name, "question", "answer"))
        } else if texts("prompt") && texts("completion") {
            Some(writing(name, "prompt", "completion"))
        } else if texts("text") && documents.fields.len() == 1 {
            let text = Source::Template(String::new());
            Some(Config::new(name, Output::LogLikelihoodRolling, text, Source::Template("text".into())))
        } else {
            None
        };
        let Some(mut config) = config else {
            return Err(Error::Fields {
                file: file.into(),
                what: "a data file without a task file".into(),
                wanted:
                    "question, choices (texts) and answer; or question and answer; or prompt and completion; or text"
                        .into(),
                found: documents.fields.join(", "),
            });
        };
        config.test = Some("test".into());
        config.examples.split = config.test.clone();
        let documents = Arc::new(documents);
        Self::on(config, Arc::clone(&documents), Some(documents))
    }
}

fn choosing(name: &str, all: &dyn Fn(&str, &dyn Fn(&Value, &Value) -> bool) -> bool) -> Option<Config> {
    let choices = |row: &Value| row.get("choices").and_then(Value::list).map(<[Value]>::to_vec).unwrap_or_default();
    let sound = all("question", &|value, _| value.text().is_some())
        && all("choices", &|value, row| {
            !choices(row).is_empty()
                && choices(row).iter().all(|choice| choice.text().is_some())
                && value.list().is_some()
        });
    let count = |row: &Value| choices(row).len();
    let target = if all("answer", &|value, row| value.int().is_some_and(|at| (0..count(row) as i64).contains(&at))) {
        Source::Template("answer".into())
    } else if all("answer", &|value, row| choices(row).contains(value)) {
        Source::Template("answer".into())
    } else if all("answer", &|value, row| {
        value.text().is_some_and(|letter| letter.len() == 1 && LETTERS.find(letter).is_some_and(|at| at < count(row)))
    }) {
        Source::Template(format!("{{{{'{LETTERS}'.index(answer)}}}}"))
    } else {
        return None;
    };
    let mut config =
        Config::new(name, Output::MultipleChoice, Source::Template("Question: {{question}}\nAnswer:".into()), target);
    config.choice = Some(Source::Template("choices".into()));
    sound.then_some(config)
}

fn writing(name: &str, question: &str, answer: &str) -> Config {
    let (text, target) = (Source::Template(question.into()), Source::Template(answer.into()));
    let mut config = Config::new(name, Output::GenerateUntil, text, target);
    config.target_delimiter = String::new();
    config.generation = greedy(vec!["\n".into()]);
    config.generation.max_tokens = MAX_TOKENS;
    config.pipelines = vec![Pipeline::stripped()];
    config.measures = vec![Measure::of(Metric::ExactMatch)];
    config
}
