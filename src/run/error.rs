//! Why a merge stops midway.

use serde::{Deserialize, Serialize};

use crate::format::ReadError;
use crate::kernel::BackendError;

/// A job that did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs)] // The messages name the fields.
pub enum RunError {
    /// A source could not be read.
    #[error("{tensor} could not be read from {input}: {error}")]
    Read { tensor: String, input: String, error: ReadError },
    /// The output could not be written.
    #[error("the output could not be written: {0}")]
    Write(WriteError),
    /// Integers or booleans that are not the same in every input. They are never cast or averaged.
    #[error("{tensor} holds integers that differ between {first} and {second}; they cannot be averaged")]
    IntegersDiffer { tensor: String, first: String, second: String },
    /// A plan that asks for rows or ranks that are not there.
    #[error("{tensor} of {input} lacks numbers that the plan asks for; plan this merge again")]
    Assembly { tensor: String, input: String },
    /// The reference backend itself failed.
    #[error("{tensor} could not be computed: {error}")]
    Backend { tensor: String, error: BackendError },
    /// The plan does not fit the engine that runs it.
    #[error("the plan's method {0} is unknown")]
    UnknownMethod(String),
}

/// A write that did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum WriteError {
    /// The disk or the browser's quota is full.
    #[error("there is no room: {short} more bytes are needed")]
    NoRoom {
        /// How many bytes of the output do not fit.
        short: u64,
    },
    /// The host's own words.
    #[error("{0}")]
    Host(String),
}
