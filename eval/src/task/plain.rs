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
        let texts = |field: &str| {
            has(field) && all(&documents, |row| row.get(field).is_some_and(|value| value.text().is_some()))
        };
        let config = if has("choices") {
            if texts("question") && has("answer") { choosing(name, &documents) } else { None }
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
        config.examples.split.clone_from(&config.test);
        let documents = Arc::new(documents);
        Self::on(config, Arc::clone(&documents), Some(documents))
    }
}

fn all(documents: &Documents, fits: impl Fn(&Value) -> bool) -> bool {
    documents.rows.iter().all(fits)
}

fn choosing(name: &str, documents: &Documents) -> Option<Config> {
    let choices = |row: &Value| row.get("choices").and_then(Value::list).map(<[Value]>::to_vec).unwrap_or_default();
    if !all(documents, |row| !choices(row).is_empty() && choices(row).iter().all(|choice| choice.text().is_some())) {
        return None;
    }
    let answer = |row: &Value| row.get("answer").cloned().unwrap_or(Value::None);
    let places = |row: &Value| answer(row).int().is_some_and(|at| (0..choices(row).len() as i64).contains(&at));
    let texts = |row: &Value| choices(row).contains(&answer(row));
    let letters = |row: &Value| {
        let place = |letter: &str| LETTERS.find(letter).filter(|_| letter.len() == 1);
        answer(row).text().and_then(place).is_some_and(|at| at < choices(row).len())
    };
    let target = if all(documents, places) || all(documents, texts) {
        "answer".to_owned()
    } else if all(documents, letters) {
        format!("{{{{'{LETTERS}'.index(answer)}}}}")
    } else {
        return None;
    };
    let text = Source::Template("Question: {{question}}\nAnswer:".into());
    let mut config = Config::new(name, Output::MultipleChoice, text, Source::Template(target));
    config.choice = Some(Source::Template("choices".into()));
    Some(config)
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
