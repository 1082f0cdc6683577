//! Results as data and as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::config::Source;
use super::evaluation::Evaluation;
use super::metric::{Errors, Worth};
use super::score::Record;
use super::{Error, Output, Value};

/// What the answers come from, in the place of lm-evaluation-harness's kind of model.
const PROGRAM: &str = "merge-studio";

/// What a task's answers make together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The task's name.
    pub task: String,
    /// The name that it wishes to be shown by.
    pub alias: String,
    /// Documents that there are.
    pub documents: usize,
    /// Documents asked about, when all are.
    pub questions: usize,
    /// Documents answered.
    pub answered: usize,
    /// Examples before each question.
    pub shots: usize,
    /// By filter and metric, in the task's order.
    pub measured: Vec<Measured>,
}

/// One number, and how sure it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// lm-evaluation-harness's name of it.
    pub metric: String,
    /// The filter; `none` where a task has none.
    pub filter: String,
    /// The value.
    pub value: f64,
    /// Its standard error, where there is one.
    pub error: Option<f64>,
    /// Whether more is better.
    pub higher_is_better: bool,
}

/// Tasks of which the means are averaged by how many documents each has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The name that it wishes to be shown by.
    pub alias: String,
    /// Its version.
    pub version: i64,
    /// What it is made of: tasks, or groups that stand before it.
    pub members: Vec<String>,
    /// Which metric is averaged.
    pub metric: String,
}

impl Results {
    /// The value of a metric.
    pub fn get(&self, metric: &str, filter: &str) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.metric == metric && measured.filter == filter)
    }
}

impl Group {
    /// The group's mean, weighted by documents, with the pooled standard error; `None` where a member's is not there. `results` are of
    /// tasks, `groups` are those that this one may be made of.
    pub fn results(&self, results: &[Results], groups: &[Group]) -> Option<Results> {
        let tasks = self.tasks(groups);
        let members: Vec<&Results> = results.iter().filter(|results| tasks.contains(&results.task)).collect();
        let first = members.first()?;
        let filter = &first.measured.iter().find(|measured| measured.metric == self.metric)?.filter;
        let measured: Vec<&Measured> =
            members.iter().map(|results| results.get(&self.metric, filter)).collect::<Option<_>>()?;
        let sizes: Vec<f64> = members.iter().map(|results| results.answered as f64).collect();
        let sum = |of: &dyn Fn(usize) -> f64| (0..members.len()).map(of).fold(0.0, |sum, part| sum + part);
        let all = sum(&|index| sizes[index]);
        let errors: Option<Vec<f64>> = measured.iter().map(|measured| measured.error).collect();
        let error = errors.map(|errors| {
            let pooled = sum(&|index| (sizes[index] - 1.0) * (errors[index] * errors[index]) * sizes[index]);
            (pooled / (all - members.len() as f64) / all).sqrt()
        });
        let value = sum(&|index| measured[index].value * sizes[index]) / all;
        let total = |of: fn(&Results) -> usize| members.iter().map(|results| of(results)).sum();
        Some(Results {
            task: self.name.clone(),
            alias: self.alias.clone(),
            documents: total(|results| results.documents),
            questions: total(|results| results.questions),
            answered: total(|results| results.answered),
            shots: first.shots,
            measured: vec![Measured {
                metric: self.metric.clone(),
                filter: filter.clone(),
                value,
                error,
                higher_is_better: measured[0].higher_is_better,
            }],
        })
    }

    /// The tasks of which it is made, those of its groups included.
    pub fn tasks(&self, groups: &[Group]) -> Vec<String> {
        let mut tasks = Vec::new();
        for member in &self.members {
            match groups.iter().find(|group| group.name == *member && group.name != self.name) {
                Some(group) => tasks.extend(group.tasks(groups)),
                None => tasks.push(member.clone()),
            }
        }
        tasks
    }
}

fn all_results(evaluations: &[&Evaluation], errors: Errors) -> Result<Vec<Results>, Error> {
    evaluations.iter().map(|evaluation| evaluation.results(errors)).collect()
}

/// The short form: `results` by task and metric, and each question's log-likelihoods and generated text.
///
/// ```json
/// {"results": {"task": {"acc": 0.5, "acc_stderr": 0.1}},
///  "samples": {"task": [{"doc_id": 0, "loglikelihoods": [-1.5, -2.0], "correct": true}]}}
/// ```
/// A metric of a filter other than `none` is `metric,filter`.
pub fn short_report(evaluations: &[&Evaluation], groups: &[Group], errors: Errors) -> Result<Json, Error> {
    let mut results = Map::new();
    let tasks = all_results(evaluations, errors)?;
    let grouped: Vec<Results> = groups.iter().filter_map(|group| group.results(&tasks, groups)).collect();
    for task in tasks.iter().chain(&grouped) {
        let mut metrics = Map::new();
        for measured in &task.measured {
            let behind = if measured.filter == "none" { String::new() } else { format!(",{}", measured.filter) };
            metrics.insert(format!("{}{behind}", measured.metric), measured.value.into());
            metrics.insert(format!("{}_stderr{behind}", measured.metric), measured.error.into());
        }
        results.insert(task.task.clone(), Json::Object(metrics));
    }
    let sample = |record: &Record| {
        let mut sample = json!({"doc_id": record.document, "loglikelihoods": record.log_likelihoods});
        if let (Some(text), Some(fields)) = (&record.generated, sample.as_object_mut()) {
            fields.remove("loglikelihoods");
            fields.insert("generated".into(), text.as_str().into());
        }
        if let (Some(right), Some(fields)) = (record.right(), sample.as_object_mut()) {
            fields.insert("correct".into(), right.into());
        }
        sample
    };
    let samples: Map<String, Json> = evaluations
        .iter()
        .map(|evaluation| (evaluation.task().name().to_owned(), evaluation.records().iter().map(sample).collect()))
        .collect();
    Ok(json!({"results": results, "samples": samples}))
}

/// lm-evaluation-harness's layout, for tools that read its results. `model` is the model's name; with `samples`, what was asked and
/// answered of every document.
pub fn lm_eval_report(
    model: &str,
    evaluations: &[&Evaluation],
    groups: &[Group],
    errors: Errors,
    samples: bool,
) -> Result<Json, Error> {
    let tasks = all_results(evaluations, errors)?;
    let mut report = Map::new();
    let (mut results, mut grouped, mut subtasks) = (Map::new(), Map::new(), Map::new());
    let (mut configs, mut versions, mut shots) = (Map::new(), Map::new(), Map::new());
    let (mut better, mut counts) = (Map::new(), Map::new());
    for (evaluation, task) in evaluations.iter().zip(&tasks) {
        let config = &evaluation.task().config;
        results.insert(task.task.clone(), metrics(task));
        configs.insert(task.task.clone(), written(evaluation));
        versions.insert(task.task.clone(), config.version.to_json());
        shots.insert(task.task.clone(), task.shots.into());
        let directions: Map<String, Json> = config
            .measures
            .iter()
            .map(|measure| (measure.metric.name().to_owned(), measure.higher_is_better.into()))
            .collect();
        better.insert(task.task.clone(), directions.into());
        counts.insert(task.task.clone(), json!({"original": task.documents, "effective": task.answered}));
    }
    for group in groups {
        let Some(task) = group.results(&tasks, groups) else { continue };
        let mut metrics = metrics(&task);
        metrics["sample_count"] =
            task.measured.iter().map(|one| (format!("{},{}", one.metric, one.filter), task.answered)).collect();
        grouped.insert(group.name.clone(), metrics);
        subtasks.insert(group.name.clone(), group.members.clone().into());
        versions.insert(group.name.clone(), group.version.to_string().into());
        // A group of groups has neither of these there.
        if group.members.iter().any(|member| configs.contains_key(member)) {
            shots.insert(group.name.clone(), task.shots.into());
            better.insert(group.name.clone(), json!({group.metric.as_str(): task.measured[0].higher_is_better}));
        }
    }
    results.extend(grouped.clone());
    report.insert("results".into(), results.into());
    if !grouped.is_empty() {
        report.insert("groups".into(), grouped.into());
    }
    report.insert("group_subtasks".into(), subtasks.into());
    report.insert("configs".into(), configs.into());
    report.insert("versions".into(), versions.into());
    report.insert("n-shot".into(), shots.into());
    report.insert("higher_is_better".into(), better.into());
    report.insert("n-samples".into(), counts.into());
    if samples {
        let by_task = evaluations.iter().map(|evaluation| (evaluation.task().name().to_owned(), logged(evaluation)));
        report.insert("samples".into(), by_task.collect::<Map<_, _>>().into());
    }
    let options = evaluations.first().map(|evaluation| evaluation.options()).unwrap_or_default();
    let resamplings = match errors {
        Errors::Formula => Json::Null,
        Errors::Bootstrap(count) => count.into(),
    };
    report.insert(
        "config".into(),
        json!({
            "model": PROGRAM, "model_args": format!("pretrained={model},dtype=float32"), "limit": options.limit,
            "bootstrap_iters": resamplings, "fewshot_seed": options.seed,
        }),
    );
    report.insert("model_source".into(), PROGRAM.into());
    report.insert("model_name".into(), model.into());
    report.insert("model_name_sanitized".into(), sanitized(model).into());
    // Tasks are asked without a chat template. Of a time there is nothing: the same answers are the same bytes.
    for key in ["system_instruction", "system_instruction_sha", "chat_template", "chat_template_sha"] {
        report.insert(key.into(), Json::Null);
    }
    report.insert("fewshot_as_multiturn".into(), false.into());
    Ok(Json::Object(report))
}

/// A model's name as lm-evaluation-harness makes a folder's of it: each run of what no folder's name may have is two lines.
fn sanitized(model: &str) -> String {
    let is_kept = |letter: char| !"\"<>:/|\\?*[]".contains(letter);
    let mut name = String::new();
    let mut was_kept = true;
    for letter in model.chars() {
        let keep = is_kept(letter);
        if keep {
            name.push(letter);
        } else if was_kept {
            name.push_str("__");
        }
        was_kept = keep;
    }
    name
}

fn metrics(task: &Results) -> Json {
    let mut metrics = Map::new();
    metrics.insert("name".into(), task.task.as_str().into());
    metrics.insert("alias".into(), task.alias.as_str().into());
    metrics.insert("sample_len".into(), task.answered.into());
    for Measured { metric, filter, value, error, .. } in &task.measured {
        metrics.insert(format!("{metric},{filter}"), (*value).into());
        let error = error.map_or_else(|| Json::from("N/A"), Json::from);
        metrics.insert(format!("{metric}_stderr,{filter}"), error);
    }
    Json::Object(metrics)
}

/// The task as its file has it, with what was used where it says nothing.
fn written(evaluation: &Evaluation) -> Json {
    let config = &evaluation.task().config;
    let mut fields: Map<String, Json> = Map::new();
    let source = |source: &Source| match source {
        Source::Template(text) => Json::from(text.as_str()),
        Source::Fixed(value) => value.to_json(),
    };
    let metrics = config.measures.iter().map(|measure| json!({"metric": measure.metric.name()}));
    let mut put = |key: &str, value: Json| fields.insert(key.into(), value);
    put("task", config.name.as_str().into());
    for (key, split) in
        [("training_split", &config.training), ("validation_split", &config.validation), ("test_split", &config.test)]
    {
        if let Some(split) = split {
            put(key, split.as_str().into());
        }
    }
    put("output_type", config.output.name().into());
    put("doc_to_text", source(&config.text));
    put("doc_to_target", source(&config.target));
    if let Some(choice) = &config.choice {
        put("doc_to_choice", source(choice));
    }
    put("description", config.description.as_str().into());
    put("metric_list", metrics.collect());
    for (key, value) in &config.written {
        if *value != Value::None {
            fields.insert(key.clone(), value.to_json());
        }
    }
    fields.insert("target_delimiter".into(), config.target_delimiter.as_str().into());
    fields.insert("fewshot_delimiter".into(), config.delimiter.as_str().into());
    fields.insert("num_fewshot".into(), evaluation.shots().into());
    if config.output == Output::GenerateUntil {
        let how = &config.generation;
        let kwargs = json!({
            "until": how.until, "max_gen_toks": how.max_tokens, "do_sample": how.temperature > 0.0,
            "temperature": how.temperature,
        });
        fields.insert("generation_kwargs".into(), kwargs);
    }
    Json::Object(fields)
}

/// Every question as lm-evaluation-harness logs it, for one filter after the other.
fn logged(evaluation: &Evaluation) -> Json {
    let task = evaluation.task();
    let mut logged = Vec::new();
    let filters = task.config.pipelines.iter().map(|pipeline| pipeline.name.as_str());
    for (place, filter) in filters.enumerate() {
        for record in evaluation.records() {
            let scores = &record.scores[place];
            let (arguments, answers) = asked(evaluation, record);
            let filtered = match &scores.answer {
                Some(answer) => vec![Json::from(answer.as_str())],
                None => answers.clone(),
            };
            let names: Vec<&str> = scores.worths.iter().map(|(metric, _)| metric.name()).collect();
            let mut sample = json!({
                "doc_id": record.document,
                "doc": task.documents.rows[record.document].to_json(),
                "target": record.target.to_json(),
                "arguments": arguments,
                "resps": answers.into_iter().map(|answer| vec![answer]).collect::<Vec<_>>(),
                "filtered_resps": filtered,
                "filter": filter,
                "metrics": names,
            });
            if let Some(fields) = sample.as_object_mut() {
                for (metric, worth) in &scores.worths {
                    fields.insert(metric.name().into(), worth_json(worth));
                }
            }
            logged.push(sample);
        }
    }
    logged.into()
}

fn worth_json(worth: &Worth) -> Json {
    match worth {
        Worth::Number(number) => (*number).into(),
        Worth::Weighted(number, weight) => json!([number, weight]),
        Worth::Classes(gold, chosen) => json!([gold, chosen]),
        Worth::Probabilities(gold, probabilities) => json!([gold, probabilities]),
    }
}

/// A question's requests and what was answered to each.
fn asked(evaluation: &Evaluation, record: &Record) -> (Vec<Json>, Vec<Json>) {
    let task = evaluation.task();
    if let Some(text) = &record.generated {
        let how = &task.config.generation;
        let kwargs = json!({"until": how.until, "max_gen_toks": how.max_tokens, "temperature": how.temperature});
        return (vec![json!([record.contexts[0], kwargs])], vec![text.as_str().into()]);
    }
    if task.output() == Output::LogLikelihoodRolling {
        return (vec![json!([record.continuations[0]])], vec![record.log_likelihoods[0].into()]);
    }
    let mut arguments: Vec<Json> = record
        .contexts
        .iter()
        .cycle()
        .zip(&record.continuations)
        .map(|(context, continuation)| json!([context, continuation]))
        .collect();
    let scored = record.log_likelihoods.iter().zip(&record.greedy);
    let mut answers: Vec<Json> = scored.map(|(likelihood, greedy)| json!([likelihood, greedy])).collect();
    for (choice, likelihood) in record.choices.iter().zip(&record.unconditional) {
        arguments.push(json!(["", format!("{}{choice}", task.config.target_delimiter)]));
        answers.push(json!([likelihood, null]));
    }
    (arguments, answers)
}
