//! Requests and events between the page and its workers: plain data.
//!
//! They travel in postcard's form (see `wire`); `File`s, ports and buffers travel beside them. Nothing here is worded for people: the
//! user interface does that, in the person's language.

use std::collections::BTreeMap;

pub use merge_studio::kernel::{BackendError, BackendKind, GpuCounters};
use merge_studio::model::{Model, ModelError};
use merge_studio::output::{FilesNotice, SmallFilesError};
use merge_studio::plan::{Plan, PlanError, PlanOptions};
use merge_studio::recipe::Recipe;
use merge_studio::run::RunError;
use serde::{Deserialize, Serialize};

/// A model that the page gave to the desk. Never used twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelId(pub u32);

/// Which request to plan an answer belongs to: the greatest one is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanToken(pub u32);

/// Where merging shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOn {
    /// WebGPU where it works, the CPU where not.
    #[default]
    Auto,
    /// WebGPU; the CPU takes over, with a notice, where it does not work.
    WebGpu,
    /// The CPU only: the reference, to the byte.
    Cpu,
}

/// What the page asks of the desk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Read headers and small files. The `File`s travel beside it, in the order of `paths`.
    Open {
        /// The new model.
        id: ModelId,
        /// What it is called.
        name: String,
        /// The files' paths inside the model's folder.
        paths: Vec<String>,
    },
    /// Forget a model.
    Close {
        /// Which one.
        id: ModelId,
    },
    /// Plan a merge. The desk keeps the latest plan; nothing runs.
    Plan {
        /// Names the answer.
        token: PlanToken,
        /// What to merge.
        recipe: Box<Recipe>,
        /// The recipe's names and the models that stand for them.
        binding: BTreeMap<String, ModelId>,
        /// Seed and shard size; the desk fills in the metadata.
        options: PlanOptions,
    },
    /// Run the plan called `token`.
    Merge {
        /// Which plan: it must be the latest.
        token: PlanToken,
        /// Where.
        run_on: RunOn,
    },
    /// Stop the merge and remove what it wrote. The page has ended the compute workers by then.
    Cancel,
    /// Remove the finished result.
    Discard,
    /// Measure how fast this device merges. All compute workers are there by then, and no merge runs; ending them ends it.
    Gauge {
        /// Names it.
        number: u32,
        /// Layers of the made-up models.
        layers: u64,
    },
}

/// What the workers tell the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The desk is up.
    Ready {
        /// Where results are kept.
        storage: Storage,
    },
    /// Where merging can run; sent at the start, and again whenever it changes.
    Workers {
        /// Workers that compute on the CPU.
        cpu: u32,
        /// What is known of WebGPU.
        gpu: GpuState,
    },
    /// A model was opened.
    Opened {
        /// Which one.
        id: ModelId,
        /// All that is known of it.
        model: Box<Model>,
    },
    /// A model could not be opened.
    OpenFailed {
        /// Which one.
        id: ModelId,
        /// Why.
        error: OpenError,
    },
    /// A plan is ready to be shown and run.
    Planned {
        /// Whose answer this is.
        token: PlanToken,
        /// The plan.
        plan: Box<Plan>,
        /// An estimate of what the workers will allocate at most, together, in bytes.
        peak_memory: u64,
    },
    /// There is no plan.
    PlanFailed {
        /// Whose answer this is.
        token: PlanToken,
        /// Why.
        error: PlanError,
    },
    /// How far the merge is; at most ten a second, the first within 200 ms.
    Progress(Progress),
    /// Something a person should know happened; the merge goes on.
    Notice(RunNotice),
    /// The result is whole and published. Its files are had from the bridge. [`Event::MergeFailed`] may follow, if the disk does not
    /// keep what was written.
    Finished {
        /// Every file of the output folder, weights first.
        files: Vec<ResultFile>,
        /// How it went.
        report: Box<Report>,
    },
    /// The SHA-256 of one result file; they follow [`Event::Finished`] one by one.
    Hashed {
        /// Which file.
        name: String,
        /// Lower-case hex.
        sha256: String,
    },
    /// Every result file was hashed.
    AllHashed {
        /// What a share link carries: the hash of the merged weights. `None` unless the CPU made every tensor.
        output: Option<String>,
    },
    /// The merge cannot go on: its workers are to be ended, wherever they are, so that what they wrote can be removed.
    /// [`Event::MergeFailed`] follows.
    MergeStopping,
    /// The merge stopped; what it wrote was removed.
    MergeFailed {
        /// Why.
        error: MergeError,
    },
    /// The merge was cancelled; what it wrote is being removed, before anything else is done.
    Cancelled,
    /// How far the measuring is; sent with every figure.
    Gauge {
        /// Which one.
        number: u32,
        /// What is known.
        gauged: Gauged,
    },
    /// What becomes of the GGUF file that was asked for.
    Gguf(GgufEvent),
    /// A worker died of a fault in Merge Studio and was replaced. Models stay open; a running merge fails beside this.
    Crashed {
        /// The panic's message and place.
        message: String,
    },
}

/// What is known of how fast this device merges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauged {
    /// What was measured, as `merge_studio::gauge` tabulates it; empty until it has begun.
    pub table: Vec<Vec<String>>,
    /// Figures that are known.
    pub done: usize,
    /// How many there will be.
    pub all: usize,
    /// Whether it is over.
    pub over: bool,
    /// Why, if it ended early.
    pub why: Option<String>,
}

/// Where results are kept until they are downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Storage {
    /// In the browser's private file system, on disk.
    Disk,
    /// In the browser's memory, as Blob parts.
    Memory(NoDisk),
}

/// Why the private file system is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoDisk {
    /// The page came over plain http from another host.
    InsecureContext,
    /// This browser has none, or none that a worker can write.
    Unsupported,
    /// The browser refused (private browsing, blocked storage): its words.
    Denied(String),
}

/// What is known of WebGPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GpuState {
    /// The probe is under way.
    Probing,
    /// It passed the probe.
    Ready {
        /// The adapter's name.
        adapter: String,
    },
    /// It can't be used.
    Absent(NoGpu),
}

/// Why WebGPU is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoGpu {
    /// The page came over plain http from another host.
    InsecureContext,
    /// This browser has no WebGPU.
    Unsupported,
    /// The system offers no adapter.
    NoAdapter,
    /// There is an adapter and it gives no device: the browser's words.
    NoDevice(String),
    /// It computes something else than it should: what.
    ProbeFailed(String),
    /// It ran out of memory during a merge.
    OutOfMemory,
    /// It was lost during a merge: the browser's words.
    Lost(String),
}

/// Why a model could not be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OpenError {
    /// The engine could not read it.
    Model(ModelError),
    /// The browser could not read it: its words.
    Browser(String),
}

/// How far a merge is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Output bytes written.
    pub bytes_done: u64,
    /// Output bytes in all.
    pub bytes_total: u64,
    /// Output tensors written whole.
    pub tensors_done: u32,
    /// Output tensors in all.
    pub tensors_total: u32,
    /// A tensor that is being worked on.
    pub tensor: String,
    /// Output bytes a second, over the last seconds; 0 until known.
    pub rate: f64,
    /// Seconds since the merge began.
    pub seconds: f64,
    /// The stage that is being made; none while it is the output. All numbers are of the stages and the output together.
    pub stage: Option<StageAt>,
}

/// A merge before the output's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageAt {
    /// Its name in the recipe.
    pub name: String,
    /// Which of them it is, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// What a person should know of a merge that goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RunNotice {
    /// WebGPU was asked for and there is none: the CPU merges.
    GpuAbsent(NoGpu),
    /// The GPU did not do this tensor: the CPU did.
    GpuDeclined {
        /// Its name.
        tensor: String,
        /// Why.
        why: BackendError,
    },
    /// The GPU was lost midway: the CPU does the rest.
    GpuLost {
        /// The tensor it was at.
        tensor: String,
        /// The browser's words.
        why: String,
    },
    /// Results are kept in memory: they must fit there.
    InMemory(NoDisk),
    /// What was met while the files beside the weights were made.
    Files(FilesNotice),
}

/// One file of the output folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFile {
    /// Its name.
    pub name: String,
    /// Length in bytes.
    pub len: u64,
    /// CRC-32, as zip wants it.
    pub crc32: u32,
}

/// How a merge went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Seconds from click to published.
    pub seconds: f64,
    /// Bytes of weights read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Which backend made each tensor, in the plan's order; `None` for copies.
    pub tensors: Vec<(String, Option<BackendKind>)>,
    /// What the GPU did.
    pub gpu: GpuCounters,
    /// The largest single allocation that the engine made, in bytes.
    pub largest_allocation: u64,
    /// Bytes of wasm memory of each compute worker that took part, at its end.
    pub wasm_memory: Vec<u64>,
    /// Everything that was said on the way.
    pub notices: Vec<RunNotice>,
}

impl Report {
    /// How many tensors `backend` made.
    pub fn made_by(&self, backend: BackendKind) -> usize {
        self.tensors.iter().filter(|(_, made_by)| *made_by == Some(backend)).count()
    }

    /// How many tensors were copied.
    pub fn copied(&self) -> usize {
        self.tensors.iter().filter(|(_, made_by)| made_by.is_none()).count()
    }
}

/// Why a merge stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MergeError {
    /// The plan asked for is not the latest one, or one of its models was removed.
    StalePlan,
    /// The browser gives no more room.
    NoSpace {
        /// How many bytes are short, where the browser says what it has.
        short: Option<u64>,
    },
    /// A result file could not be written: the browser's words.
    Write {
        /// Its name.
        file: String,
        /// Why.
        why: String,
    },
    /// A tensor could not be made.
    Run(RunError),
    /// A small file beside the weights could not be made or copied.
    SmallFiles {
        /// Its name.
        file: String,
        /// Why.
        why: String,
    },
    /// The recipe asks for files beside the weights that cannot be made.
    Files(SmallFilesError),
    /// A worker ran out of memory or died: its last words.
    WorkerDied(String),
}

/// What a scribe tells the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GgufEvent {
    /// How far the file is, in bytes; at most ten a second.
    Progress {
        /// Written.
        done: u64,
        /// In all.
        total: u64,
    },
    /// The file is whole. It is had from the bridge.
    Done {
        /// What is odd about it, in the engine's words.
        notices: Vec<String>,
    },
    /// There is no file; what was written is being removed.
    Failed(GgufFailure),
}

/// Why there is no GGUF file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GgufFailure {
    /// GGUF has no form of this result, or it could not be read: the engine's words.
    Refused(String),
    /// The browser gives no more room.
    NoSpace {
        /// How many bytes are short, where the browser says what it has.
        short: Option<u64>,
    },
    /// The file could not be written: the browser's words.
    Write(String),
    /// The scribe could not be loaded, ran out of memory or died: its last words.
    Died(String),
}
