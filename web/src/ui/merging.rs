//! A merge from the click to its result, as the page knows it.

use std::collections::BTreeMap;
use std::rc::Rc;

use merge_studio::plan::Plan;

use crate::protocol::{Event, GgufEvent, GgufFailure, MergeError, Progress, Report, ResultFile, RunNotice};

/// Where the merge is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Merging {
    /// None was started, or its result was discarded.
    #[default]
    Idle,
    /// It runs.
    Running {
        /// What was started.
        started: Started,
        /// How far it is; `None` until first heard.
        progress: Option<Progress>,
        /// What was said on the way.
        notices: Vec<RunNotice>,
        /// Whether the person pressed Cancel.
        cancelling: bool,
    },
    /// The result is whole.
    Done(Rc<Outcome>),
    /// It stopped: why.
    Failed(MergeError),
    /// The person stopped it.
    Cancelled,
}

/// What a merge was started with. The recipe in the page may change meanwhile.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Started {
    pub plan: Rc<Plan>,
    pub recipe: String,
    pub seed: u64,
}

/// A finished merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it was started with.
    pub started: Started,
    /// Every file of the folder, weights first.
    pub files: Vec<ResultFile>,
    /// How it went.
    pub report: Report,
    /// SHA-256 of files, as far as they were hashed.
    pub hashes: BTreeMap<String, String>,
    /// Whether all files were hashed.
    pub hashed: bool,
    /// The hash that a link carries, if the CPU made every tensor.
    pub output: Option<String>,
    /// The result as one GGUF file.
    pub gguf: Gguf,
}

/// Where the GGUF file of a result is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gguf {
    /// Nobody asked for one, or it is no longer wanted.
    #[default]
    None,
    /// It is being written: bytes done, and in all once known.
    Writing(u64, Option<u64>),
    /// It is whole; what is odd about it.
    Done(Vec<String>),
    /// There is none: why.
    Failed(GgufFailure),
}

impl Merging {
    /// A merge that was just asked for.
    pub fn start(started: Started) -> Self {
        Self::Running { started, progress: None, notices: Vec::new(), cancelling: false }
    }

    /// The person pressed Cancel.
    pub fn cancel(&mut self) {
        if let Self::Running { cancelling, .. } = self {
            *cancelling = true;
        }
    }

    /// The finished merge, if there is one.
    pub fn outcome(&self) -> Option<&Rc<Outcome>> {
        if let Self::Done(outcome) = self { Some(outcome) } else { None }
    }

    /// Where the GGUF file of the finished merge is.
    pub fn gguf(&self) -> &Gguf {
        self.outcome().map_or(&Gguf::None, |outcome| &outcome.gguf)
    }

    /// The GGUF file is another one from now on.
    pub fn set_gguf(&mut self, gguf: Gguf) {
        if let Self::Done(outcome) = self {
            Rc::make_mut(outcome).gguf = gguf;
        }
    }

    /// Takes in what the workers say of a merge; what does not fit the moment is late news and ignored.
    pub fn hear(&mut self, event: Event) {
        match (&mut *self, event) {
            (Self::Running { progress, .. }, Event::Progress(now)) => *progress = Some(now),
            (Self::Running { notices, .. }, Event::Notice(notice)) if !notices.contains(&notice) => {
                notices.push(notice);
            }
            (Self::Running { started, .. }, Event::Finished { files, report }) => {
                let outcome = Outcome {
                    started: started.clone(),
                    files,
                    report: *report,
                    hashes: BTreeMap::new(),
                    hashed: false,
                    output: None,
                    gguf: Gguf::None,
                };
                *self = Self::Done(Rc::new(outcome));
            }
            (Self::Running { .. } | Self::Done(_), Event::MergeFailed { error }) => *self = Self::Failed(error),
            (Self::Running { .. }, Event::Cancelled) => *self = Self::Cancelled,
            (Self::Done(outcome), Event::Hashed { name, sha256 }) => {
                Rc::make_mut(outcome).hashes.insert(name, sha256);
            }
            (Self::Done(outcome), Event::Gguf(event)) if matches!(outcome.gguf, Gguf::Writing(..)) => {
                Rc::make_mut(outcome).gguf = match event {
                    GgufEvent::Progress { done, total } => Gguf::Writing(done, Some(total)),
                    GgufEvent::Done { notices } => Gguf::Done(notices),
                    GgufEvent::Failed(why) => Gguf::Failed(why),
                };
            }
            (Self::Done(outcome), Event::AllHashed { output }) => {
                let outcome = Rc::make_mut(outcome);
                outcome.hashed = true;
                outcome.output = output;
            }
            _ => {}
        }
    }
}
