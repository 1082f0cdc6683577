//! A task file: every key is read, known to change no number, or refused by name.

use super::fields::{self, set};
use super::filter::Pipeline;
use super::metric::Measure;
use super::yaml::{self, Data, Key, Node};
use super::{Error, Output, Value};
use crate::Generation;

/// Most tokens that are generated where a task names no number.
const MAX_TOKENS: usize = 256;
/// How many tokens the library that lm-evaluation-harness generates with draws from where a task draws and names no number.
const TOP_K: usize = 50;

/// The longest chain of files that include each other; a longer one is a circle of which each turn is written otherwise.
const MOST_INCLUDES: usize = 16;

/// What to do with a group of tasks.
const GROUP: &str = "give the files of the group's tasks themselves";
/// Keys of files that are no tasks, and what to do.
const OTHERS: [(&str, &str); 2] =
    [("group", GROUP), ("merge_method", "this is a recipe; merge it, and evaluate what comes of it")];

/// Where a text comes from: a field's name or a template, or what is given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Template(String),
    Fixed(Value),
}

/// How examples are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sampler {
    /// By the seed, other ones for each document.
    #[default]
    Random,
    /// The first.
    First,
}

/// What `fewshot_config` says; what is `None` is as for the documents themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Examples {
    pub(super) sampler: Sampler,
    pub(super) split: Option<String>,
    pub(super) samples: Option<Vec<Value>>,
    pub(super) text: Option<Source>,
    pub(super) target: Option<Source>,
    pub(super) choice: Option<Source>,
    pub(super) gen_prefix: Option<String>,
    pub(super) target_delimiter: Option<String>,
    pub(super) delimiter: Option<String>,
}

/// What is done to documents before anything is made of them.
pub(super) type Prepare = fn(&mut Value) -> Result<(), String>;

/// A task as its file describes it.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) name: String,
    pub(super) alias: Option<String>,
    pub(super) output: Output,
    pub(super) training: Option<String>,
    pub(super) validation: Option<String>,
    pub(super) test: Option<String>,
    pub(super) text: Source,
    pub(super) target: Source,
    pub(super) choice: Option<Source>,
    pub(super) description: String,
    pub(super) target_delimiter: String,
    pub(super) delimiter: String,
    pub(super) gen_prefix: Option<String>,
    pub(super) examples: Examples,
    pub(super) shots: Option<usize>,
    pub(super) measures: Vec<Measure>,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) generation: Generation,
    pub(super) version: Value,
    pub(super) prepare: Option<Prepare>,
    /// Splits and the files of each, by the names in the task file.
    pub(super) files: Vec<(String, Vec<Named>)>,
    /// The file as it was read.
    pub(super) written: Vec<(String, Value)>,
}

/// A file, and where it is named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) at: super::Place,
    pub(super) name: String,
}

impl Config {
    /// A task with nothing said but this.
    pub(super) fn new(name: &str, output: Output, text: Source, target: Source) -> Self {
        Self {
            name: name.into(),
            alias: None,
            output,
            training: None,
            validation: None,
            test: None,
            text,
            target,
            choice: None,
            description: String::new(),
            target_delimiter: " ".into(),
            delimiter: "\n\n".into(),
            gen_prefix: None,
            examples: Examples::default(),
            shots: None,
            measures: Measure::usual(output),
            pipelines: vec![Pipeline::usual()],
            generation: greedy(vec!["\n\n".into()]),
            version: Value::Text("Yaml".into()),
            prepare: None,
            files: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Reads the task file `name` of `files`, which holds those it includes as well.
    pub(super) fn read(name: &str, files: &[(&str, &[u8])]) -> Result<Self, Error> {
        let start = super::Place { file: name.into(), line: 1, column: 1 };
        let pairs = merged(&Named { at: start, name: name.into() }, files, &mut Vec::new())?;
        let find = |wanted: &str| pairs.iter().find(|(key, _)| key.value.text() == Some(wanted)).map(|(_, node)| node);
        for (other, why) in OTHERS {
            if let Some((key, _)) = pairs.iter().find(|(key, _)| key.value.text() == Some(other)) {
                return fields::unsupported(key, why);
            }
        }
        let missing = |key: &'static str| Error::MissingKey { file: name.into(), key };
        let output = match find("output_type") {
            None => Output::GenerateUntil,
            Some(node) => {
                let written = fields::text(node, "output_type")?;
                match Output::named(&written) {
                    Some(output) => output,
                    None => return fields::unsupported_value(node, "output_type", "there is no such kind of request"),
                }
            }
        };
        let optional = |key: &str| find(key).and_then(set).map(|node| source(node, key)).transpose();
        let text = optional("doc_to_text")?.ok_or_else(|| missing("doc_to_text"))?;
        let target = optional("doc_to_target")?.ok_or_else(|| missing("doc_to_target"))?;
        let task = fields::text(find("task").ok_or_else(|| missing("task"))?, "task")?;
        let mut config = Self::new(&task, output, text, target);
        let delimiter = find("fewshot_delimiter").map(|node| fields::text(node, "fewshot_delimiter")).transpose()?;
        if let Some(delimiter) = delimiter {
            config.generation.until = vec![delimiter.clone()];
            config.delimiter = delimiter;
        }
        for (key, node) in &pairs {
            config.key(key, node)?;
        }
        if output == Output::MultipleChoice && config.choice.is_none() {
            return Err(missing("doc_to_choice"));
        }
        if config.test.is_none() && config.validation.is_none() {
            return Err(missing("test_split"));
        }
        if config.files.is_empty() {
            return Err(missing("dataset_kwargs"));
        }
        // Data is found from the task file, whichever of the files names it.
        for named in config.files.iter_mut().flat_map(|(_, named)| named) {
            named.name = beside(name, &named.name);
        }
        Ok(config)
    }

    /// The split that examples are drawn from, where no samples are given; `None` is the one that is evaluated.
    pub(super) fn examples_split(&self) -> Option<&String> {
        let examples = &self.examples;
        let other = || self.training.as_ref().or(self.validation.as_ref()).filter(|_| examples.samples.is_none());
        examples.split.as_ref().or_else(other)
    }

    fn key(&mut self, key: &Key, node: &Node) -> Result<(), Error> {
        let name = fields::name(key);
        let said = set(node).is_some();
        match name.as_str() {
            "task_alias" => self.alias = fields::text_or_none(node, &name)?,
            "metadata" => {
                if let Some(version) = node.value(&name)?.get("version") {
                    self.version = version.clone();
                }
            }
            "unsafe_code" => {
                if fields::flag(node, &name)? {
                    return fields::unsupported_value(node, &name, "answers are never run as programs");
                }
            }
            "dataset_path" => {
                if fields::text(node, &name)? != "json" {
                    return fields::unsupported_value(node, &name, "documents come from JSON Lines files: `json`");
                }
            }
            "dataset_kwargs" if said => self.files = data_files(node)?,
            "training_split" => self.training = fields::text_or_none(node, &name)?,
            "validation_split" => self.validation = fields::text_or_none(node, &name)?,
            "test_split" => self.test = fields::text_or_none(node, &name)?,
            "fewshot_split" => {
                // fewshot_config.split goes before it.
                let split = fields::text_or_none(node, &name)?;
                self.examples.split = self.examples.split.take().or(split);
            }
            "fewshot_config" if said => self.fewshot_config(node)?,
            "num_fewshot" if said => self.shots = Some(fields::count(node, &name)?),
            "doc_to_choice" if said => self.choice = Some(choices(node, &name)?),
            "description" if said => self.description = fields::text(node, &name)?,
            "target_delimiter" => self.target_delimiter = fields::text(node, &name)?,
            "gen_prefix" => self.gen_prefix = fields::text_or_none(node, &name)?,
            "metric_list" if said => {
                let list = fields::list(node, &name)?;
                self.measures.clear();
                for item in list {
                    let measure = Measure::read(item, self.output)?;
                    if self.measures.iter().any(|other| other.metric == measure.metric) {
                        return fields::unsupported_value(item, &name, "a metric stands there twice");
                    }
                    self.measures.push(measure);
                }
            }
            "filter_list" if said => {
                let list = fields::list(node, &name)?;
                self.pipelines = list.iter().map(|item| Pipeline::read(item, self.output)).collect::<Result<_, _>>()?;
            }
            "generation_kwargs" if said => {
                if self.output != Output::GenerateUntil {
                    return fields::unsupported_value(node, &name, "only generate_until generates");
                }
                self.generation = generation(node, &self.delimiter)?;
            }
            "repeats" => {
                if fields::whole(node, &name)? != 1 {
                    return fields::unsupported_value(node, &name, "every question is answered once");
                }
            }
            "process_docs" | "process_results" | "custom_dataset" | "class" if said => {
                node.value(&name)?;
                return fields::unsupported(key, "it takes a Python program");
            }
            "doc_to_image" | "doc_to_audio" if said => return fields::unsupported(key, "models here read text only"),
            "use_prompt" if said => return fields::unsupported(key, "prompts of other collections are not here"),
            "group_alias" | "aggregate_metric_list" | "task_list" => {
                return fields::unsupported(key, GROUP);
            }
            // Read before the others.
            "task" | "output_type" | "doc_to_text" | "doc_to_target" | "fewshot_delimiter"
            // Of no influence on numbers: names, and checks of contamination that lm-evaluation-harness never makes.
            | "tag" | "dataset_name" | "should_decontaminate" | "doc_to_decontamination_query"
            // Nothing is said, as where the key is left out.
            | "dataset_kwargs" | "fewshot_config" | "num_fewshot" | "doc_to_choice" | "description" | "metric_list"
            | "filter_list" | "generation_kwargs" | "process_docs" | "process_results" | "custom_dataset" | "class"
            | "doc_to_image" | "doc_to_audio" | "use_prompt" => {}
            _ => return fields::unknown(key, ""),
        }
        self.written.push((name.clone(), node.value(&name)?));
        Ok(())
    }

    fn fewshot_config(&mut self, node: &Node) -> Result<(), Error> {
        for (key, node) in fields::map(node, "fewshot_config")? {
            let name = fields::name(key);
            let full = format!("fewshot_config.{name}");
            if set(node).is_none() {
                continue;
            }
            let examples = &mut self.examples;
            match name.as_str() {
                "sampler" => {
                    examples.sampler = match fields::text(node, &full)?.as_str() {
                        "default" => Sampler::Random,
                        "first_n" => Sampler::First,
                        _ => return fields::unsupported_value(node, &full, "there are `default` and `first_n`"),
                    }
                }
                "split" => examples.split = Some(fields::text(node, &full)?),
                "samples" => {
                    for sample in fields::list(node, &full)? {
                        fields::map(sample, &full)?;
                    }
                    examples.samples = node.value(&full)?.list().map(<[Value]>::to_vec);
                }
                "doc_to_text" => examples.text = Some(source(node, &full)?),
                "doc_to_target" => examples.target = Some(source(node, &full)?),
                "doc_to_choice" => examples.choice = Some(choices(node, &full)?),
                "gen_prefix" => examples.gen_prefix = Some(fields::text(node, &full)?),
                "target_delimiter" => examples.target_delimiter = Some(fields::text(node, &full)?),
                "fewshot_delimiter" => examples.delimiter = Some(fields::text(node, &full)?),
                "fewshot_indices" => {
                    let why = "lm-evaluation-harness 0.4.13 reads it and draws as if it were not there";
                    return fields::unsupported_value(node, &full, why);
                }
                "process_docs" => {
                    node.value(&full)?;
                    return fields::unsupported(key, "it takes a Python program");
                }
                _ => return fields::unknown(key, "fewshot_config"),
            }
        }
        Ok(())
    }
}

/// A file's keys after those of the files that it includes, of which the last goes.
fn merged(named: &Named, files: &[(&str, &[u8])], open: &mut Vec<String>) -> Result<Vec<(Key, Node)>, Error> {
    let closed: Vec<(&str, &[u8])> = files
        .iter()
        .filter(|(name, _)| *name == named.name || open.iter().all(|other| other != name))
        .copied()
        .collect();
    let (name, bytes) = find(named, &closed)?;
    if open.iter().any(|other| other == name) || open.len() == MOST_INCLUDES {
        return Err(Error::Circle { at: named.at.clone(), name: name.into() });
    }
    open.push(name.into());
    let text = std::str::from_utf8(bytes).map_err(|_| {
        let at = super::Place { file: name.into(), line: 1, column: 1 };
        Error::Yaml { at, detail: "the file is not UTF-8".into() }
    })?;
    let Node { at, data } = yaml::read(name, text)?;
    let Data::Map(own) = data else {
        return Err(Error::WrongKind { at, key: name.into(), wanted: "a mapping of a task's keys" });
    };
    let (includes, rest): (Vec<_>, Vec<_>) = own.into_iter().partition(|(key, _)| key.value.text() == Some("include"));
    let mut all = Vec::new();
    for (_, node) in includes {
        for include in fields::texts(&node, "include")? {
            let name = beside(name, &include);
            all.extend(merged(&Named { at: node.at.clone(), name }, files, open)?);
        }
    }
    all.extend(rest);
    let mut pairs: Vec<(Key, Node)> = Vec::new();
    for (key, node) in all {
        pairs.retain(|(other, _)| other.value != key.value);
        pairs.push((key, node));
    }
    open.pop();
    Ok(pairs)
}

/// The file that is called `name` in the file `of`: paths begin in the folder of the file that names them.
fn beside(of: &str, name: &str) -> String {
    let absolute = name.starts_with(['/', '\\']) || name.chars().nth(1) == Some(':');
    match of.rfind(['/', '\\']) {
        Some(end) if !absolute => format!("{}{name}", &of[..=end]),
        _ => name.to_owned(),
    }
}

/// The file of that path, or else the one that is given without a folder by the path's last part.
pub(super) fn find<'a>(named: &Named, files: &[(&'a str, &'a [u8])]) -> Result<(&'a str, &'a [u8]), Error> {
    let last = named.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let called = |wanted: &str| files.iter().find(|(name, _)| *name == wanted);
    called(&named.name)
        .or_else(|| called(last))
        .copied()
        .ok_or_else(|| Error::NoFile { at: named.at.clone(), name: named.name.clone() })
}

fn source(node: &Node, key: &str) -> Result<Source, Error> {
    match &node.data {
        Data::Scalar(Value::Text(text)) => Ok(Source::Template(text.clone())),
        Data::Scalar(Value::Int(_) | Value::Bool(_)) | Data::List(_) => Ok(Source::Fixed(node.value(key)?)),
        Data::Function(_) => node.value(key).map(Source::Fixed),
        _ => Err(Error::WrongKind { at: node.at.clone(), key: key.into(), wanted: "a text, a whole number or a list" }),
    }
}

/// Choices: of a mapping they are the values.
fn choices(node: &Node, key: &str) -> Result<Source, Error> {
    match &node.data {
        Data::Map(pairs) => {
            let values = pairs.iter().map(|(_, node)| node.value(key)).collect::<Result<_, _>>()?;
            Ok(Source::Fixed(Value::List(values)))
        }
        Data::List(_) | Data::Scalar(Value::Text(_)) => source(node, key),
        Data::Function(_) => node.value(key).map(Source::Fixed),
        Data::Scalar(_) => {
            Err(Error::WrongKind { at: node.at.clone(), key: key.into(), wanted: "a text, a list or a mapping" })
        }
    }
}

fn data_files(node: &Node) -> Result<Vec<(String, Vec<Named>)>, Error> {
    let mut files = Vec::new();
    for (key, node) in fields::map(node, "dataset_kwargs")? {
        match fields::name(key).as_str() {
            "data_files" => {
                let named = |node: &Node| {
                    let names = fields::texts(node, "data_files")?;
                    Ok::<_, Error>(names.into_iter().map(|name| Named { at: node.at.clone(), name }).collect())
                };
                if let Data::Map(splits) = &node.data {
                    for (split, node) in splits {
                        files.push((fields::name(split), named(node)?));
                    }
                } else {
                    files.push(("train".into(), named(node)?));
                }
            }
            // lm-evaluation-harness takes it away.
            "trust_remote_code" => {}
            _ => return fields::unknown(key, "dataset_kwargs"),
        }
    }
    Ok(files)
}

/// The likeliest token each time.
fn greedy(until: Vec<String>) -> Generation {
    Generation { until, max_tokens: MAX_TOKENS, temperature: 0.0, top_p: 1.0, top_k: 0, seed: 0 }
}

fn generation(node: &Node, delimiter: &str) -> Result<Generation, Error> {
    let mut how = greedy(vec![delimiter.to_owned()]);
    let (mut draws, mut temperature, mut top_p, mut top_k) = (None, None, None, None);
    let mut most: [Option<usize>; 4] = [None; 4];
    for (key, node) in fields::map(node, "generation_kwargs")? {
        let name = fields::name(key);
        let full = format!("generation_kwargs.{name}");
        match name.as_str() {
            "until" => {
                how.until = fields::texts(node, &full)?;
                if how.until.iter().any(String::is_empty) {
                    return fields::unsupported_value(node, &full, "an empty text ends every answer before it begins");
                }
            }
            "max_gen_toks" => most[0] = Some(fields::count(node, &full)?),
            "max_new_tokens" => most[1] = Some(fields::count(node, &full)?),
            "max_tokens" => most[2] = Some(fields::count(node, &full)?),
            "max_completion_tokens" => most[3] = Some(fields::count(node, &full)?),
            "do_sample" => draws = Some(fields::flag(node, &full)?),
            "temperature" => temperature = Some(fields::number(node, &full)?),
            "top_p" => top_p = Some(fields::number(node, &full)?),
            "top_k" => top_k = Some(fields::count(node, &full)?),
            "num_beams" => {
                if fields::count(node, &full)? != 1 {
                    return fields::unsupported_value(node, &full, "one text is followed at a time: 1");
                }
            }
            _ => return fields::unknown(key, "generation_kwargs"),
        }
    }
    how.max_tokens = most.into_iter().flatten().next().unwrap_or(MAX_TOKENS);
    if draws.unwrap_or(temperature.is_some_and(|temperature| temperature > 0.0)) {
        how.temperature = temperature.unwrap_or(1.0);
        if how.temperature <= 0.0 {
            return fields::unsupported_value(node, "generation_kwargs", "do_sample wants a temperature above 0");
        }
        how.top_p = top_p.unwrap_or(1.0);
        how.top_k = top_k.unwrap_or(TOP_K);
    }
    Ok(how)
}
