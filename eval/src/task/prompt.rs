//! A task with its documents, and the prompts that it makes of them.

use std::sync::Arc;

use minijinja::Value as Jinja;

use super::config::{Config, Prepare, Source, find};
use super::template::{self, TemplateError, Templates};
use super::{Documents, Error, Output, Value};
use crate::python::text::{display, is_space};

/// A task: what is asked of a model, and of which documents.
#[derive(Debug)]
pub struct Task {
    pub(super) config: Config,
    pub(super) documents: Arc<Documents>,
    /// What examples are drawn from, and whether a document may be among its own examples and is left out.
    pub(super) pool: Option<Arc<Documents>>,
    pub(super) pool_is_own: bool,
    templates: Templates,
    /// Choices are contexts of one continuation.
    pub(super) many_inputs: bool,
    /// The target is a list.
    pub(super) many_targets: bool,
    /// Of a data file alone.
    pub(super) written: Option<String>,
}

/// A document in both forms: as it is, and as templates see it.
pub(super) struct View<'a> {
    pub(super) index: usize,
    pub(super) value: &'a Value,
    fields: Jinja,
}

impl<'a> View<'a> {
    /// The document at `index`, by which errors name it.
    pub(super) fn new(index: usize, value: &'a Value) -> Self {
        Self { index, value, fields: template::to_jinja(value) }
    }
}

/// A question, perhaps with its answer, and what stands between and behind.
struct Turn<'a> {
    question: &'a str,
    answer: Option<&'a str>,
    prefix: Option<&'a str>,
    target_delimiter: &'a str,
    delimiter: &'a str,
}

impl Task {
    /// Reads the task file `name`; `files` are `(name, content)` of it, of those it includes and of its data files.
    pub fn read(name: &str, files: &[(&str, &[u8])]) -> Result<Self, Error> {
        let config = Config::read(name, files)?;
        let named = config.files.clone();
        Self::with(config, |split| {
            let Some((_, named)) = named.iter().find(|(name, _)| name == split) else { return Ok(None) };
            let found: Vec<_> = named.iter().map(|named| find(named, files)).collect::<Result<_, _>>()?;
            Documents::read(&found).map(Some)
        })
    }

    /// The task on splits that `read` reads, as far as there are any.
    pub(super) fn with(config: Config, read: impl Fn(&str) -> Result<Option<Documents>, Error>) -> Result<Self, Error> {
        let read = |split: &str| -> Result<Option<Documents>, Error> {
            let Some(mut documents) = read(split)? else { return Ok(None) };
            if let Some(prepare) = config.prepare {
                prepared(&mut documents, prepare, &config.name)?;
            }
            Ok(Some(documents))
        };
        let (own, key) = match (&config.test, &config.validation) {
            (Some(split), _) => (split, "test_split"),
            (None, Some(split)) => (split, "validation_split"),
            (None, None) => return Err(Error::MissingKey { file: config.name.clone(), key: "test_split" }),
        };
        let missing = || Error::NoSplit { task: config.name.clone(), key, split: own.clone() };
        let mut documents = read(own)?.ok_or_else(missing)?;
        let pool = match (config.examples_split(), &config.examples.samples) {
            (None, Some(samples)) => Some(Arc::new(Documents { fields: Vec::new(), rows: samples.clone() })),
            (Some(split), _) if split != own => {
                let mut pool = read(split)?;
                if let Some(pool) = &mut pool {
                    one_kind_of_number(&config, own, &mut documents, split, pool)?;
                }
                pool.map(Arc::new)
            }
            _ => {
                let documents = Arc::new(documents);
                return Self::on(config, Arc::clone(&documents), Some(documents));
            }
        };
        Self::on(config, Arc::new(documents), pool)
    }

    /// The task on documents that are read and prepared.
    pub(super) fn on(config: Config, documents: Arc<Documents>, pool: Option<Arc<Documents>>) -> Result<Self, Error> {
        let pool_is_own = config.examples.split == config.test;
        let mut task = Self {
            config,
            documents,
            pool,
            pool_is_own,
            templates: Templates::default(),
            many_inputs: false,
            many_targets: false,
            written: None,
        };
        task.add_templates()?;
        let documents = Arc::clone(&task.documents);
        let Some(first) = documents.rows.first() else {
            return Err(Error::Empty { file: task.config.name.clone() });
        };
        let view = View::new(0, first);
        let number = task.text(&view, None)?.int().is_some();
        task.many_inputs = number && task.config.choice.is_some();
        task.many_targets = task.target(&view, None)?.list().is_some_and(|list| !list.is_empty());
        Ok(task)
    }

    fn add_templates(&mut self) -> Result<(), Error> {
        let config = &self.config;
        let examples = &config.examples;
        let sources = [
            ("doc_to_text", Some(&config.text)),
            ("doc_to_target", Some(&config.target)),
            ("doc_to_choice", config.choice.as_ref()),
            ("fewshot_config.doc_to_text", examples.text.as_ref()),
            ("fewshot_config.doc_to_target", examples.target.as_ref()),
            ("fewshot_config.doc_to_choice", examples.choice.as_ref()),
        ];
        let mut written: Vec<(&'static str, &str)> = sources
            .into_iter()
            .filter_map(|(key, source)| match source {
                Some(Source::Template(text)) => Some((key, text.as_str())),
                _ => None,
            })
            .collect();
        written.push(("description", &config.description));
        written.extend(config.gen_prefix.as_deref().map(|text| ("gen_prefix", text)));
        written.extend(examples.gen_prefix.as_deref().map(|text| ("fewshot_config.gen_prefix", text)));
        for (key, text) in written {
            if !self.documents.fields.iter().any(|field| field == text) {
                self.templates.add(text).map_err(|TemplateError { line, detail }| Error::Template {
                    key,
                    line,
                    detail,
                })?;
            }
        }
        Ok(())
    }

    /// The task file that asks the same, of a task that is a data file alone ([`Task::plain`]).
    pub fn written(&self) -> Option<&str> {
        self.written.as_deref()
    }

    /// The task's name, by which results are known.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What is asked.
    pub fn output(&self) -> Output {
        self.config.output
    }

    /// Documents that there are.
    pub fn len(&self) -> usize {
        self.documents.rows.len()
    }

    /// Never: a task has a document.
    pub fn is_empty(&self) -> bool {
        self.documents.rows.is_empty()
    }

    /// A document, as it was read.
    pub fn document(&self, index: usize) -> Option<&Value> {
        self.documents.rows.get(index)
    }

    /// Examples before each question, unless others are asked for.
    pub fn shots(&self) -> usize {
        self.config.shots.unwrap_or(0)
    }

    pub(super) fn wrong(&self, view: &View<'_>, key: &'static str, detail: impl Into<String>) -> Error {
        Error::Document { task: self.config.name.clone(), document: view.index, key, detail: detail.into() }
    }

    /// A field's value, or what a template makes of the document.
    fn resolve(&self, view: &View<'_>, written: &str, key: &'static str) -> Result<(Value, bool), Error> {
        if self.documents.fields.iter().any(|field| field == written) {
            let value = view.value.get(written).cloned();
            return Ok((value.ok_or_else(|| self.wrong(view, key, format!("there is no field `{written}`")))?, true));
        }
        let rendered = self.templates.render(written, &view.fields);
        let rendered =
            rendered.map_err(|error| self.wrong(view, key, format!("line {}: {}", error.line, error.detail)))?;
        Ok((Value::Text(rendered), false))
    }

    /// A number where a rendered text is one and numbers name choices.
    fn numbered(&self, view: &View<'_>, text: &str, key: &'static str) -> Result<Option<Value>, Error> {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        if !digits || self.config.choice.is_none() {
            return Ok(None);
        }
        template::literal(text).map(Some).map_err(|detail| self.wrong(view, key, detail))
    }

    /// `doc_to_text`, as it is written for the task or for examples.
    pub(super) fn text(&self, view: &View<'_>, other: Option<&Source>) -> Result<Value, Error> {
        let key = "doc_to_text";
        match other.unwrap_or(&self.config.text) {
            Source::Fixed(value) if value.int().is_some() => Ok(value.clone()),
            Source::Fixed(_) => Err(self.wrong(view, key, "it must be a text or a whole number")),
            Source::Template(written) => match self.resolve(view, written, key)? {
                (Value::Text(text), false) => Ok(self.numbered(view, &text, key)?.unwrap_or(Value::Text(text))),
                (value, _) => Ok(value),
            },
        }
    }

    /// `doc_to_target`.
    pub(super) fn target(&self, view: &View<'_>, other: Option<&Source>) -> Result<Value, Error> {
        let key = "doc_to_target";
        match other.unwrap_or(&self.config.target) {
            Source::Fixed(value) => Ok(value.clone()),
            Source::Template(written) => match self.resolve(view, written, key)? {
                (Value::Text(text), false) => {
                    if let Some(number) = self.numbered(view, &text, key)? {
                        return Ok(number);
                    }
                    let list = text.len() >= 2 && text.starts_with('[') && text.ends_with(']');
                    // What only looks like a list is a text.
                    let read = if list { template::literal(&text).ok() } else { None };
                    Ok(read.unwrap_or(Value::Text(text)))
                }
                (value, _) => Ok(value),
            },
        }
    }

    /// `doc_to_choice`, or `None` where the task has none.
    pub(super) fn choices(&self, view: &View<'_>, other: Option<&Source>) -> Result<Option<Vec<String>>, Error> {
        let key = "doc_to_choice";
        let Some(source) = other.or(self.config.choice.as_ref()) else { return Ok(None) };
        let value = match source {
            Source::Fixed(value) => value.clone(),
            Source::Template(written) => match self.resolve(view, written, key)? {
                (Value::Text(text), false) => {
                    template::literal(&text).map_err(|detail| self.wrong(view, key, detail))?
                }
                (value, _) => value,
            },
        };
        let texts: Option<Vec<String>> =
            value.list().and_then(|items| items.iter().map(|item| item.text().map(str::to_owned)).collect());
        texts.filter(|texts| !texts.is_empty()).map(Some).ok_or_else(|| {
            let detail = format!(
                "a list of texts is wanted (`yes` and `no` are texts in quotes only); it is {}",
                display(&value)
            );
            self.wrong(view, key, detail)
        })
    }

    fn prefix(&self, view: &View<'_>, written: Option<&str>) -> Result<Option<String>, Error> {
        let Some(written) = written else { return Ok(None) };
        match self.resolve(view, written, "gen_prefix")?.0 {
            Value::Text(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Value::None => Ok(None),
            _ => Err(self.wrong(view, "gen_prefix", "it must be a text")),
        }
    }

    /// All that stands before the answers: one context, or one a choice where choices are contexts.
    pub(super) fn contexts(&self, view: &View<'_>, examples: &[&Value]) -> Result<Vec<String>, Error> {
        let config = &self.config;
        let mut context = match self.resolve(view, &config.description, "description")?.0 {
            Value::Text(text) => text,
            Value::None => String::new(),
            _ => return Err(self.wrong(view, "description", "it must be a text")),
        };
        for example in examples {
            self.example(view.index, example, &mut context)?;
        }
        let prefix = self.prefix(view, config.gen_prefix.as_deref())?;
        let end = |mut context: String, question: &str, target_delimiter: &str| {
            let turn = Turn { question, answer: None, prefix: prefix.as_deref(), target_delimiter, delimiter: "" };
            turn.write(&mut context);
            context
        };
        if self.many_inputs {
            let choices = self.choices(view, None)?.unwrap_or_default();
            return Ok(choices.iter().map(|choice| end(context.clone(), choice, "")).collect());
        }
        match self.text(view, None)? {
            Value::Text(question) => Ok(vec![end(context, &question, &config.target_delimiter)]),
            other => Err(self.wrong(view, "doc_to_text", format!("it is {}, not a text", display(&other)))),
        }
    }

    fn example(&self, index: usize, example: &Value, context: &mut String) -> Result<(), Error> {
        let (config, how) = (&self.config, &self.config.examples);
        let view = &View::new(index, example);
        let wrong = |key, detail: &str| self.wrong(view, key, format!("of an example: {detail}"));
        let mut choices = self.choices(view, how.choice.as_ref())?;
        let question = match self.text(view, how.text.as_ref())? {
            Value::Text(text) => text,
            number if self.many_inputs => {
                let choices = choices.take().unwrap_or_default();
                let at = number.int().and_then(|number| place(number, choices.len()));
                at.map(|at| choices[at].clone()).ok_or_else(|| wrong("doc_to_text", "it names no choice"))?
            }
            _ => return Err(wrong("doc_to_text", "it must be a text")),
        };
        let target = self.target(view, how.target.as_ref())?;
        let answer = match (&target, &choices) {
            (Value::None, _) => None,
            (Value::Text(text), _) => Some(text.as_str()).filter(|text| !text.is_empty()),
            (Value::List(items), _) => {
                Some(items.first().and_then(Value::text).ok_or_else(|| wrong("doc_to_target", "it must be texts"))?)
            }
            (number, Some(choices)) => {
                let at = number.int().and_then(|number| place(number, choices.len()));
                Some(choices[at.ok_or_else(|| wrong("doc_to_target", "it names no choice"))?].as_str())
            }
            _ => return Err(wrong("doc_to_target", "it must be a text")),
        };
        let prefix = self.prefix(view, how.gen_prefix.as_deref().or(config.gen_prefix.as_deref()))?;
        let turn = Turn {
            question: &question,
            answer,
            prefix: prefix.as_deref(),
            target_delimiter: how.target_delimiter.as_ref().unwrap_or(&config.target_delimiter),
            delimiter: how.delimiter.as_ref().unwrap_or(&config.delimiter),
        };
        turn.write(context);
        Ok(())
    }
}

impl Turn<'_> {
    fn write(&self, to: &mut String) {
        to.push_str(self.question);
        let delimited = match self.prefix {
            None => self.answer.is_some(),
            Some(prefix) => !self.question.is_empty() && bare(self.question, prefix),
        };
        if delimited {
            to.push_str(self.target_delimiter);
        }
        let prefix = self.prefix.unwrap_or_default();
        to.push_str(prefix);
        if let Some(answer) = self.answer {
            // Between what an answer begins with and the answer there is always a space.
            if !prefix.is_empty() && bare(prefix, answer) {
                to.push(' ');
            }
            to.push_str(answer);
            to.push_str(self.delimiter);
        }
    }
}

/// Whether there is no white space where two texts meet.
fn bare(before: &str, after: &str) -> bool {
    !before.ends_with(is_space) && !after.starts_with(is_space)
}

/// The place that a number names in a list, from the end where it is negative.
pub(super) fn place(number: i64, length: usize) -> Option<usize> {
    let at = if number < 0 { number + length as i64 } else { number };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// The split that the task file names first says of which kind a field's numbers are.
fn one_kind_of_number(
    config: &Config,
    own: &str,
    documents: &mut Documents,
    other: &str,
    pool: &mut Documents,
) -> Result<(), Error> {
    let place = |split: &str| config.files.iter().position(|(name, _)| name == split);
    let (first, second) = if place(own) < place(other) { (own, other) } else { (other, own) };
    // A public task's publisher says it.
    let Some(at) = place(second) else { return Ok(()) };
    let followed = if first == own { pool.follow(documents) } else { documents.follow(pool) };
    followed.map_err(|field| {
        let file = config.files[at].1.first().map_or_else(String::new, |named| named.name.clone());
        let detail =
            format!("`{field}` holds numbers that are not whole, which {first}, read before {second}, does not");
        Error::Data { file, line: 0, detail }
    })
}

fn prepared(documents: &mut Documents, prepare: Prepare, task: &str) -> Result<(), Error> {
    for (index, row) in documents.rows.iter_mut().enumerate() {
        prepare(row).map_err(|detail| Error::Document {
            task: task.to_owned(),
            document: index,
            key: "process_docs",
            detail,
        })?;
    }
    if let Some(Value::Map(pairs)) = documents.rows.first() {
        documents.fields = pairs.iter().map(|(name, _)| name.clone()).collect();
    }
    Ok(())
}
