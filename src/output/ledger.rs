//! merge-studio.json, the ledger: every tensor of the output, what it was made from and how, one tensor a line.

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::plan::{Job, LeftOut, Plan, PlannedStage, Rule};
use crate::recipe::Value;

/// The ledger of `plan`. `recipe` is its canonical text.
pub fn ledger(plan: &Plan, recipe: &str) -> String {
    let mut text = String::from("{\n");
    member(&mut text, "merge_studio", &env!("CARGO_PKG_VERSION"));
    member(&mut text, "method", &plan.method);
    member(&mut text, "seed", &plan.seed);
    member(&mut text, "recipe", &recipe);
    let inputs = plan.inputs.iter().enumerate().map(|(index, input)| {
        let mut entry = json!({ "name": input.name, "fingerprint": input.fingerprint });
        if index == plan.donor {
            entry["gives"] = json!("config.json, tokenizer and companions");
        }
        entry
    });
    list(&mut text, "inputs", inputs, true);
    if !plan.stages.is_empty() {
        list(&mut text, "stages", plan.stages.iter().map(stage), true);
    }
    list(&mut text, "files", plan.files.iter().map(|file| json!({ "name": file.name, "bytes": file.len })), true);
    list(&mut text, "tensors", plan.jobs.iter().map(|job| tensor(plan, job)), true);
    list(&mut text, "left_out", plan.left_out.iter().map(|left_out| omission(plan, left_out)), true);
    list(&mut text, "notices", plan.notices.iter().map(|notice| json!(notice)), false);
    text.push_str("}\n");
    text
}

fn stage(stage: &PlannedStage) -> Json {
    let inputs = stage.inputs.iter().map(|input| json!({ "name": input.name, "fingerprint": input.fingerprint }));
    json!({
        "name": stage.name,
        "method": stage.method,
        "fingerprint": stage.fingerprint,
        "tensors": stage.tensors,
        "bytes": stage.len,
        "inputs": inputs.collect::<Json>(),
    })
}

fn tensor(plan: &Plan, job: &Job) -> Json {
    let mut entry = Map::new();
    entry.insert("name".into(), json!(job.name));
    entry.insert("dtype".into(), json!(job.dtype));
    entry.insert("shape".into(), json!(job.shape));
    if plan.files.len() > 1 {
        entry.insert("file".into(), json!(plan.files.get(job.file).map(|file| &file.name)));
    }
    match &job.rule {
        Rule::Merge(rule) => {
            entry.insert("rule".into(), json!("merge"));
            entry.insert("arithmetic".into(), json!(rule.precision));
            if !rule.parameters.shared.is_empty() {
                entry.insert("parameters".into(), values(&rule.parameters.shared));
            }
        }
        Rule::Copy(reason) => {
            entry.insert("rule".into(), json!("copy"));
            entry.insert("because".into(), json!(reason));
        }
    }
    let sources = job.sources.iter().enumerate().map(|(index, source)| {
        let mut entry = Map::new();
        entry.insert("input".into(), json!(plan.inputs.get(source.input).map(|input| &input.name)));
        if source.name != job.name {
            entry.insert("tensor".into(), json!(source.name));
        }
        entry.insert("dtype".into(), json!(source.dtype));
        if let Some(assembly) = &source.assembly {
            if let Some(change) = &assembly.change {
                let adapter = plan.inputs.get(change.down.input).map(|input| &input.name);
                entry.insert("adapter".into(), json!({ "input": adapter, "rank": change.rank, "scale": change.scale }));
            }
            if assembly.rows.is_some() {
                entry.insert("rows".into(), json!("aligned"));
            }
        }
        if let Rule::Merge(rule) = &job.rule {
            if rule.base == Some(index) {
                entry.insert("base".into(), json!(true));
            }
            if let Some(own) = rule.parameters.inputs.get(index).filter(|own| !own.is_empty()) {
                entry.insert("parameters".into(), values(own));
            }
        }
        Json::Object(entry)
    });
    entry.insert("sources".into(), sources.collect());
    Json::Object(entry)
}

fn omission(plan: &Plan, left_out: &LeftOut) -> Json {
    json!({
        "input": plan.inputs.get(left_out.input).map(|input| &input.name),
        "tensor": left_out.tensor,
        "because": left_out.reason,
    })
}

fn values(values: &std::collections::BTreeMap<String, Value>) -> Json {
    let mut plain = serde_json::Map::new();
    for (key, value) in values {
        let value = match value {
            Value::Flag(flag) => json!(flag),
            Value::Number(number) => json!(number),
            Value::Text(text) => json!(text),
        };
        plain.insert(key.clone(), value);
    }
    Json::Object(plain)
}

fn member(text: &mut String, key: &str, value: &impl Serialize) {
    text.push_str(&format!("  {}: {},\n", json!(key), json!(value)));
}

fn list(text: &mut String, key: &str, entries: impl Iterator<Item = Json>, more: bool) {
    let lines: Vec<String> = entries.map(|entry| format!("\n    {entry}")).collect();
    let close = if lines.is_empty() { "]" } else { "\n  ]" };
    let comma = if more { "," } else { "" };
    text.push_str(&format!("  {}: [{}{close}{comma}\n", json!(key), lines.join(",")));
}
