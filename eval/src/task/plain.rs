//! A data file alone: what is asked follows from its fields, where they are one of the few kinds that need no saying.

use std::sync::Arc;

use serde_json::json;

use super::config::Config;
use super::{Documents, Error, Task, Value};

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
    /// Anything else is refused by the fields that there are. [`Task::written`] says the same as a task file.
    pub fn plain(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let documents = Documents::read(&[(file, bytes)])?;
        let data = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let name = data.rsplit_once('.').map_or(data, |(stem, _)| stem);
        let Some(asked) = asked(&documents) else {
            return Err(Error::Fields {
                file: file.into(),
                what: "a data file without a task file".into(),
                wanted:
                    "question, choices (texts) and answer; or question and answer; or prompt and completion; or text"
                        .into(),
                found: documents.fields.join(", "),
            });
        };
        // A text of JSON is one of YAML.
        let (task, data) = (json!(name), json!(data));
        let written = format!(
            "task: {task}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\nfewshot_split: test\n{asked}"
        );
        let config = Config::read(name, &[(name, written.as_bytes())])?;
        let documents = Arc::new(documents);
        let mut task = Self::on(config, Arc::clone(&documents), Some(documents))?;
        task.written = Some(written);
        Ok(task)
    }
}

/// What the task file says beside names and data; nothing where the fields are of no kind.
fn asked(documents: &Documents) -> Option<String> {
    let has = |field: &str| documents.fields.iter().any(|other| other == field);
    let texts =
        |field: &str| has(field) && all(documents, |row| row.get(field).is_some_and(|value| value.text().is_some()));
    if has("choices") {
        if texts("question") && has("answer") { choosing(documents) } else { None }
    } else if texts("question") && texts("answer") {
        Some(writing("question", "answer"))
    } else if texts("prompt") && texts("completion") {
        Some(writing("prompt", "completion"))
    } else if texts("text") && documents.fields.len() == 1 {
        Some("output_type: loglikelihood_rolling\ndoc_to_text: \"\"\ndoc_to_target: text\n".to_owned())
    } else {
        None
    }
}

fn all(documents: &Documents, fits: impl Fn(&Value) -> bool) -> bool {
    documents.rows.iter().all(fits)
}

fn choosing(documents: &Documents) -> Option<String> {
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
        format!("\"{{{{'{LETTERS}'.index(answer)}}}}\"")
    } else {
        return None;
    };
    Some(format!(
        "output_type: multiple_choice\ndoc_to_text: \"Question: {{{{question}}}}\\nAnswer:\"\ndoc_to_choice: choices\ndoc_to_target: {target}\n"
    ))
}

fn writing(question: &str, answer: &str) -> String {
    format!(
        "doc_to_text: {question}\n\
         doc_to_target: {answer}\n\
         target_delimiter: \"\"\n\
         generation_kwargs: {{until: [\"\\n\"], max_gen_toks: 32}}\n\
         metric_list: [{{metric: exact_match}}]\n\
         filter_list: [{{name: none, filter: [{{function: remove_whitespace}}, {{function: take_first}}]}}]\n"
    )
}
