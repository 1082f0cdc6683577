//! The page's side: starts the workers, sends requests, hands their events to the page, ends them.
//!
//! Nothing here waits and nothing here computes: the page thread only draws.

use std::collections::BTreeMap;

use merge_studio::plan::PlanOptions;
use merge_studio::recipe::Recipe;
use yew::Callback;

use crate::protocol::{Event, ModelId, PlanToken, RunOn};

/// The page's handle on its workers. Cloning it is cheap; there is one set of workers.
#[derive(Clone)]
pub struct Bridge {}

/// Two handles on the same workers are equal.
impl PartialEq for Bridge {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Why a result could not be saved to a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveError {
    /// The person closed the picker.
    Dismissed,
    /// The browser refused: the file and its words.
    Failed {
        /// Which file.
        file: String,
        /// Why.
        why: String,
    },
}

impl Bridge {
    /// Starts the workers. Their events arrive on the page thread, in order.
    pub fn start(_on_event: Callback<Event>) -> Self {
        Self {}
    }

    /// Opens a model: the files by their paths inside its folder (a lone file: its name). Answered by
    /// [`Event::Opened`] or [`Event::OpenFailed`].
    pub fn open(&self, _name: String, _files: Vec<(String, web_sys::File)>) -> ModelId {
        ModelId(0)
    }

    /// Forgets a model. Not answered.
    pub fn close(&self, _id: ModelId) {}

    /// Plans a merge. Answered by [`Event::Planned`] or [`Event::PlanFailed`], unless a later request overtakes it.
    pub fn plan(&self, _recipe: &Recipe, _binding: BTreeMap<String, ModelId>, _options: PlanOptions) -> PlanToken {
        PlanToken(0)
    }

    /// Runs a plan. Answered by [`Event::Progress`] … and one of [`Event::Finished`], [`Event::MergeFailed`], [`Event::Cancelled`].
    pub fn merge(&self, _token: PlanToken, _run_on: RunOn) {}

    /// Stops the merge. Answered by [`Event::Cancelled`] within 200 ms.
    pub fn cancel(&self) {}

    /// Removes the finished result from disk. Not answered.
    pub fn discard(&self) {}

    /// A file of the finished result, backed by the disk: for a link (`URL.createObjectURL`) or for reading.
    pub fn result_file(&self, _name: &str) -> Option<web_sys::Blob> {
        None
    }

    /// The finished result as one stored zip whose entries lie in a folder called `folder`; made of parts, nothing is copied.
    pub fn zip(&self, _folder: &str) -> Option<web_sys::Blob> {
        None
    }

    /// Whether this browser lets a person pick a folder to save to.
    pub fn can_save_to_folder() -> bool {
        false
    }

    /// Asks for a folder and writes the finished result into it; `on_bytes` hears (written, all). Call it from a click.
    pub async fn save_to_folder(&self, _on_bytes: Callback<(u64, u64)>) -> Result<(), SaveError> {
        Err(SaveError::Dismissed)
    }
}
