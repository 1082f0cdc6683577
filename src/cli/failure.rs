//! Why the program ends without success, and with which exit code.

use std::process::ExitCode;

use console::style;
use merge_studio::plan::PlanError;

/// A failed command. The codes are a promise: docs/cli.md lists them.
pub(super) enum Failure {
    /// 1: the merge, or whatever else was asked for, failed.
    Merge(anyhow::Error),
    /// 2: the command line makes no sense (clap's own code, too).
    Usage(anyhow::Error),
    /// 3: the recipe was refused.
    Recipe(anyhow::Error),
    /// 4: a model is missing, damaged, or does not fit the others.
    Model(anyhow::Error),
    /// 130: interrupted, as by Ctrl-C.
    Interrupted,
}

impl Failure {
    /// Says what failed.
    pub(super) fn report(self) -> ExitCode {
        let (code, error) = match self {
            Self::Merge(error) => (1, error),
            Self::Usage(error) => (2, error),
            Self::Recipe(error) => (3, error),
            Self::Model(error) => (4, error),
            Self::Interrupted => (130, anyhow::anyhow!("interrupted; nothing unfinished was kept")),
        };
        eprintln!("{} {error:#}", style("error:").for_stderr().red().bold());
        ExitCode::from(code)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::InStage { stage, error } => match Self::from(*error) {
                Self::Model(error) => Self::Model(error.context(format!("stage {stage}"))),
                Self::Recipe(error) => Self::Recipe(error.context(format!("stage {stage}"))),
                other => other,
            },
            PlanError::LayersDiffer { .. }
            | PlanError::LayerRange { .. }
            | PlanError::NoSuchModule { .. }
            | PlanError::IsAdapter { .. }
            | PlanError::Adapter { .. }
            | PlanError::Vocabulary(_)
            | PlanError::ShapesDiffer { .. }
            | PlanError::KindsDiffer { .. }
            | PlanError::Quantized { .. }
            | PlanError::MissingInBase { .. }
            | PlanError::MissingTensor { .. }
            | PlanError::StageFiles { .. }
            | PlanError::NothingToMerge => Self::Model(error.into()),
            _ => Self::Recipe(error.into()),
        }
    }
}

/// Says something that does not stop the work.
pub(super) fn warn(words: impl std::fmt::Display) {
    eprintln!("{} {words}", style("warning:").for_stderr().yellow().bold());
}
