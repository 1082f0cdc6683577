//! Public tasks: lm-evaluation-harness's settings of that name, on JSON Lines files with the fields that their publishers give them.

use std::sync::Arc;

use super::config::{Config, Sampler, Source};
use super::metric::{Measure, Metric};
use super::mmlu::FIELDS;
use super::report::Group;
use super::{Documents, Error, Output, Task, Value};
use crate::python::pattern::Pattern;
use crate::python::text::strip;

/// A public task.
#[derive(Debug)]
pub struct BuiltIn {
    /// lm-evaluation-harness's name.
    pub name: &'static str,
    /// What else it is called.
    pub aliases: &'static [&'static str],
    /// Where its files are published.
    pub source: &'static str,
    /// The fields that it reads.
    pub fields: &'static [&'static str],
    /// The split that is evaluated.
    pub split: &'static str,
    /// The split from which examples are drawn.
    pub examples: &'static str,
    config: fn() -> Config,
}

/// All of them.
pub const BUILT_INS: [BuiltIn; 7] = [
    BuiltIn {
        name: "arc_challenge",
        aliases: &["arc_c"],
        source: "allenai/ai2_arc, ARC-Challenge",
        fields: &["question", "choices", "answerKey"],
        split: "test",
        examples: "train",
        config: || arc("arc_challenge"),
    },
    BuiltIn {
        name: "arc_easy",
        aliases: &["arc_e"],
        source: "allenai/ai2_arc, ARC-Easy",
        fields: &["question", "choices", "answerKey"],
        split: "test",
        examples: "train",
        config: || arc("arc_easy"),
    },
    BuiltIn {
        name: "hellaswag",
        aliases: &[],
        source: "Rowan/hellaswag",
        fields: &["activity_label", "ctx_a", "ctx_b", "endings", "label"],
        split: "validation",
        examples: "train",
        config: hellaswag,
    },
    BuiltIn {
        name: "medmcqa",
        aliases: &[],
        source: "openlifescienceai/medmcqa",
        fields: &["question", "opa", "opb", "opc", "opd", "cop"],
        split: "validation",
        examples: "train",
        config: medmcqa,
    },
    BuiltIn {
        name: "medqa_4options",
        aliases: &["medqa", "med_qa", "usmle"],
        source: "GBaker/MedQA-USMLE-4-options-hf",
        fields: &["sent1", "ending0", "ending1", "ending2", "ending3", "label"],
        split: "test",
        examples: "train",
        config: medqa,
    },
    BuiltIn {
        name: "mmlu",
        aliases: &[],
        source: "cais/mmlu",
        fields: &["question", "choices", "answer"],
        split: "test",
        examples: "dev",
        config: mmlu,
    },
    BuiltIn {
        name: "pubmedqa",
        aliases: &["pubmed_qa"],
        source: "bigbio/pubmed_qa, pubmed_qa_labeled_fold0_source",
        fields: &["QUESTION", "CONTEXTS", "final_decision"],
        split: "test",
        examples: "train",
        config: pubmedqa,
    },
];

/// The built-in tasks that read `fields`.
pub fn fitting(fields: &[String]) -> impl Iterator<Item = &'static BuiltIn> + '_ {
    BUILT_INS.iter().filter(|built_in| built_in.fields.iter().all(|wanted| fields.iter().any(|field| field == wanted)))
}

/// The public task `name` on files `(name, content)`, and the groups of its tasks.
///
/// Which split a file is stands in its name, as a word between marks: `train`, `validation` (`valid`, `val`), `dev`, `test`. A file
/// that names none is the split that is evaluated. MMLU makes a task of every subject, which a field `subject` or the file's
/// name says; `mmlu_<subject>` is that subject alone.
pub fn open(name: &str, files: &[(&str, &[u8])]) -> Result<(Vec<Task>, Vec<Group>), Error> {
    let subject = name.strip_prefix("mmlu_").filter(|subject| subjects().any(|known| known == *subject));
    let wanted = if subject.is_some() { "mmlu" } else { name };
    let found = BUILT_INS.iter().find(|built_in| built_in.name == wanted || built_in.aliases.contains(&wanted));
    let Some(built_in) = found else {
        let names: Vec<&str> = BUILT_INS.iter().map(|built_in| built_in.name).collect();
        return Err(Error::UnknownTask { name: name.into(), known: names.join(", ") });
    };
    let split = |file: &str| split_of(file).unwrap_or(built_in.split);
    let of = |wanted: &str| -> Vec<(&str, &[u8])> {
        files.iter().filter(|(file, _)| split(file) == wanted).copied().collect()
    };
    if of(built_in.split).is_empty() {
        return Err(Error::NoSplit { task: built_in.name.into(), key: "test_split", split: built_in.split.into() });
    }
    let read = |wanted: &str| -> Result<Option<Documents>, Error> {
        let files = of(wanted);
        if files.is_empty() {
            return Ok(None);
        }
        let documents = Documents::read(&files)?;
        if built_in.fields.iter().all(|wanted| documents.fields.iter().any(|field| field == wanted)) {
            return Ok(Some(documents));
        }
        Err(Error::Fields {
            file: files.iter().map(|(file, _)| *file).collect::<Vec<_>>().join(", "),
            what: built_in.name.into(),
            wanted: built_in.fields.join(", "),
            found: documents.fields.join(", "),
        })
    };
    if built_in.name == "mmlu" {
        read("test")?;
        return mmlu_tasks(subject, &of("test"), &of("dev"));
    }
    Ok((vec![Task::with((built_in.config)(), read)?], Vec::new()))
}

fn split_of(file: &str) -> Option<&'static str> {
    file.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "validation" | "valid" | "val" => Some("validation"),
        "dev" => Some("dev"),
        "test" => Some("test"),
        _ => None,
    })
}

fn subjects() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().flat_map(|field| field.subjects).copied()
}

fn template(text: &str) -> Source {
    Source::Template(text.into())
}

fn texts(texts: &[&str]) -> Source {
    Source::Fixed(Value::List(texts.iter().map(|text| Value::Text((*text).into())).collect()))
}

fn choosing(name: &str, text: &str, target: &str, choice: Source) -> Config {
    let mut config = Config::new(name, Output::MultipleChoice, template(text), template(target));
    config.choice = Some(choice);
    config.training = Some("train".into());
    config.test = Some("test".into());
    config
}

fn arc(name: &str) -> Config {
    let mut config = choosing(
        name,
        "Question: {{question}}\nAnswer:",
        "{{choices.label.index(answerKey)}}",
        template("{{choices.text}}"),
    );
    config.version = Value::Float(1.0);
    config
}

fn hellaswag() -> Config {
    let mut config = choosing("hellaswag", "{{query}}", "{{label}}", template("choices"));
    config.test = None;
    config.validation = Some("validation".into());
    config.version = Value::Float(1.0);
    config.prepare = Some(hellaswag_document);
    config
}

/// Adds the question and the endings without the marks that WikiHow leaves in them.
fn hellaswag_document(document: &mut Value) -> Result<(), String> {
    let marks = Pattern::new(r"\[.*?\]").map_err(|error| error.to_string())?;
    let clean = |text: &str| -> Result<String, String> {
        let text = strip(text).replace(" [title]", ". ");
        Ok(marks.replace(&text, "", 0).map_err(|error| error.to_string())?.replace("  ", " "))
    };
    let text = |field: &str| {
        document.get(field).and_then(Value::text).ok_or_else(|| format!("the field `{field}` must be a text"))
    };
    let end = crate::python::text::capitalized(text("ctx_b")?);
    let query = clean(&format!("{}: {} {end}", text("activity_label")?, text("ctx_a")?))?;
    let endings = document.get("endings").and_then(Value::list).ok_or("the field `endings` must be a list")?;
    let endings = endings
        .iter()
        .map(|ending| clean(ending.text().ok_or("the field `endings` must be texts")?).map(Value::Text))
        .collect::<Result<_, String>>()?;
    let label = document.get("label").ok_or("there is no field `label`")?;
    let gold = label.int().or_else(|| strip(label.text()?).parse().ok()).ok_or("the field `label` must be a number")?;
    if let Value::Map(pairs) = document {
        let added = [("query", Value::Text(query)), ("choices", Value::List(endings)), ("gold", Value::Int(gold))];
        pairs.extend(added.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(())
}

fn medmcqa() -> Config {
    let text = "Question: {{question}}\nChoices:\nA. {{opa}}\nB. {{opb}}\nC. {{opc}}\nD. {{opd}}\nAnswer:";
    let mut config = choosing("medmcqa", text, "cop", texts(&["A", "B", "C", "D"]));
    config.validation = Some("validation".into());
    config.test = config.validation.clone();
    config
}

fn medqa() -> Config {
    let text = "Question: {{sent1}}\nA. {{ending0}}\nB. {{ending1}}\nC. {{ending2}}\nD. {{ending3}}\nAnswer:";
    choosing("medqa_4options", text, "label", texts(&["A", "B", "C", "D"]))
}

fn pubmedqa() -> Config {
    let text = "Abstract: {{CONTEXTS|join('\\n')}}\nQuestion: {{QUESTION}}\nAnswer:";
    let mut config = choosing("pubmedqa", text, "final_decision", texts(&["yes", "no", "maybe"]));
    config.measures = vec![Measure::of(Metric::Acc)];
    config.version = Value::Float(1.0);
    config
}

fn mmlu() -> Config {
    let text =
        "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:";
    let mut config = choosing("mmlu", text, "answer", texts(&["A", "B", "C", "D"]));
    config.training = None;
    config.examples.split = Some("dev".into());
    config.examples.sampler = Sampler::First;
    config.measures = vec![Measure::of(Metric::Acc)];
    config.version = Value::Float(1.0);
    config
}

/// A task a subject, in the order of the groups.
fn mmlu_tasks(
    only: Option<&str>,
    test: &[(&str, &[u8])],
    dev: &[(&str, &[u8])],
) -> Result<(Vec<Task>, Vec<Group>), Error> {
    let (test, dev) = (by_subject(only, test)?, by_subject(only, dev)?);
    let mut tasks = Vec::new();
    let mut groups = Vec::new();
    let group = |name: &str, alias: &str, members: Vec<String>| Group {
        name: name.into(),
        alias: alias.into(),
        version: 2,
        members,
        metric: Metric::Acc.name().into(),
    };
    for field in &FIELDS {
        let mut members = Vec::new();
        for subject in field.subjects {
            let Some((_, documents)) = test.iter().find(|(name, _)| name == subject) else { continue };
            let mut config = mmlu();
            config.name = format!("mmlu_{subject}");
            config.alias = Some((*subject).into());
            let readable = subject.replace('_', " ");
            config.description =
                format!("The following are multiple choice questions (with answers) about {readable}.\n\n");
            let pool = dev.iter().find(|(name, _)| name == subject).map(|(_, documents)| Arc::new(documents.clone()));
            members.push(config.name.clone());
            tasks.push(Task::on(config, Arc::new(documents.clone()), pool)?);
        }
        if !members.is_empty() && only.is_none() {
            groups.push(group(field.name, field.alias, members));
        }
    }
    if !groups.is_empty() {
        let members = groups.iter().map(|group| group.name.clone()).collect();
        groups.push(group("mmlu", "mmlu", members));
    }
    Ok((tasks, groups))
}

/// Files' documents by the subject that each names, or its file's name does.
fn by_subject(only: Option<&str>, files: &[(&str, &[u8])]) -> Result<Vec<(String, Documents)>, Error> {
    let mut found: Vec<(String, Documents)> = Vec::new();
    for (file, bytes) in files {
        let documents = Documents::read(&[(file, bytes)])?;
        // The longest: `high_school_physics` before `physics` would be.
        let in_name = subjects().filter(|subject| file.contains(subject)).max_by_key(|subject| subject.len());
        for (index, row) in documents.rows.into_iter().enumerate() {
            let own = row.get("subject").and_then(Value::text).filter(|subject| !subject.is_empty());
            let subject = own.or(in_name).or(only).unwrap_or_default().to_owned();
            if !subjects().any(|known| known == subject) {
                let detail =
                    format!("neither a field `subject` nor the file's name says one of MMLU's subjects (`{subject}`)");
                return Err(Error::Data { file: (*file).into(), line: index + 1, detail });
            }
            if only.is_some_and(|only| only != subject) {
                continue;
            }
            match found.iter_mut().find(|(name, _)| *name == subject) {
                Some((_, of_subject)) => of_subject.rows.push(row),
                None => found.push((subject, Documents { fields: documents.fields.clone(), rows: vec![row] })),
            }
        }
    }
    match only {
        Some(only) if !files.is_empty() && found.is_empty() => Err(Error::Fields {
            file: files[0].0.into(),
            what: format!("mmlu_{only}"),
            wanted: format!("subject: {only}"),
            found: "other subjects".into(),
        }),
        _ => Ok(found),
    }
}
