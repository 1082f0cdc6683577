//! What the view and its worker say to each other: plain data, in postcard's form (`merge_studio_web::wire`).

mod ask;

use std::collections::BTreeMap;

pub use ask::{End, Prompt, Reply, Sampling};
use merge_studio_eval::task::{Group, Output, Record, Results};
use serde::{Deserialize, Serialize};

/// What a worker gets: one order, or prompts after prompts. Beside it travels an array of two: the task files' contents, an array a batch,
/// and the models' files, an array a model.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// Say what tasks these are.
    Read(Batches),
    /// Questions to a model.
    Evaluate(EvaluateOrder),
    /// The next round of them.
    GoOn,
    /// A prompt. It ends the answer to the one before.
    Ask(Prompt),
    /// Write no more.
    Stop,
}

/// Names of task files, a list a batch: those that were given together.
pub type Batches = Vec<Vec<String>>;

/// Questions to a model.
#[derive(Debug, Serialize, Deserialize)]
pub struct EvaluateOrder {
    pub questions: Questions,
    pub model: Candidate,
    /// What it has answered before, by task: what of it fits is not asked again.
    pub known: Vec<Vec<Record>>,
    /// Whether it rests after each round until it is told to go on.
    pub rests: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Questions {
    pub batches: Batches,
    /// Batch, and place among the batch's tasks.
    pub tasks: Vec<(usize, usize)>,
    /// Questions of each task; `None` for all.
    pub limit: Option<usize>,
}

/// Who is asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Candidate {
    Folder(ModelFiles),
    Merge(MergeOrder),
}

/// A merge that is asked. It is not written anywhere.
#[derive(Debug, Serialize, Deserialize)]
pub struct MergeOrder {
    /// What it is called.
    pub name: String,
    /// The recipe's text.
    pub recipe: String,
    pub inputs: Vec<ModelFiles>,
    /// Which of the inputs the recipe's names stand for.
    pub binding: BTreeMap<String, usize>,
    pub seed: u64,
}

/// A model's files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelFiles {
    /// What it is called.
    pub name: String,
    /// Their paths inside its folder.
    pub paths: Vec<String>,
}

/// What a worker tells. Tasks are counted as in the order.
#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    /// The tasks of each batch. The answer to [`Order::Read`], and the end of it.
    Tasks(Vec<OpenedBatch>),
    /// The model is being read.
    Loading,
    /// A round is over, and the next has to be ordered.
    Rested,
    /// The model cannot be evaluated. Nothing comes after it.
    Refused(Refusal),
    /// A task cannot go on: why.
    Broken { task: usize, why: String },
    /// The model cannot go on with a task: why.
    Stuck { task: usize, why: String },
    /// Answers to a task from before that count, and what they make.
    Known { task: usize, records: Vec<Record>, results: Results },
    /// Answers to a task, behind those that were told before, and what all of them make.
    Answered {
        task: usize,
        records: Vec<Record>,
        results: Results,
        /// Whether another task comes first before more of this one is asked, or all of it is.
        is_round: bool,
    },
    /// Everything was asked: lm-evaluation-harness's results, where anything was answered.
    Finished { report: Option<String> },
    /// What the model says to a prompt.
    Reply { number: u32, reply: Reply },
    /// The worker is dying: its last words.
    Died(String),
}

/// Task files that were given together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenedBatch {
    pub files: Vec<Opened>,
    /// Of the tasks among them.
    pub groups: Vec<Group>,
}

/// A file that was given as a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Its name.
    pub file: String,
    /// The task, or why it is none.
    pub task: Result<TaskInfo, String>,
}

/// A task, as far as the view speaks of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    pub name: String,
    pub output: Output,
    /// Questions that there are.
    pub questions: usize,
    /// Of a data file alone, the task file that lm-evaluation-harness needs for it.
    pub written: Option<String>,
    /// Whether it is one of lm-evaluation-harness's own.
    pub is_public: bool,
}

/// Why a model cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    /// It is an adapter.
    Adapter,
    /// It lacks this file.
    Lacks(String),
    /// The prompt leaves no room for an answer.
    Prompt { tokens: usize, context: usize },
    /// It would take this many bytes, which the browser does not give.
    Memory { wanted: u64 },
    /// A file could not be read, or says what is not supported.
    Words(String),
}
