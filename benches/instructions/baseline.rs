//! The counts that are committed, and when a count is more than they allow.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// How many more instructions than the baseline's are a failure.
const ALLOWED: f64 = 0.05;

/// From this share on a gain is worth a new baseline.
const GAIN: f64 = 0.02;

/// What instruction counts depend on beside the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// What `rustc --version` says.
    pub rustc: String,
    /// The processor's architecture.
    pub architecture: String,
    /// The vectors that the kernels chose.
    pub vectors: String,
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.rustc, self.architecture, self.vectors)
    }
}

/// Instructions by case.
#[derive(Clone, Serialize, Deserialize)]
pub struct Baseline {
    #[serde(flatten)]
    pub built: Built,
    pub instructions: BTreeMap<String, u64>,
}

/// A count beside the baseline's.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Within what is allowed.
    Same,
    /// Fewer.
    Gain,
    /// Too many.
    Loss,
    /// The baseline has no such case.
    New,
}

impl Baseline {
    /// Where it is kept.
    pub fn file() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.json")
    }

    /// The one that is committed.
    pub fn load() -> anyhow::Result<Self> {
        let file = Self::file();
        let text = fs::read(&file).with_context(|| file.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    }

    /// Makes it the one that is committed.
    pub fn save(&self) -> anyhow::Result<()> {
        let file = Self::file();
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&file, text).with_context(|| file.display().to_string())
    }

    /// What `count` instructions of `case` mean, and the change from the baseline's as a share.
    pub fn judge(&self, case: &str, count: u64) -> (Verdict, f64) {
        let Some(&expected) = self.instructions.get(case) else { return (Verdict::New, 0.0) };
        let change = count as f64 / expected as f64 - 1.0;
        let verdict = if change > ALLOWED {
            Verdict::Loss
        } else if change < -GAIN {
            Verdict::Gain
        } else {
            Verdict::Same
        };
        (verdict, change)
    }
}
