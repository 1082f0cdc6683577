//! Why a task cannot be evaluated as it is written. Nothing that would change numbers is passed over.

use std::fmt;

/// A place in a task file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as the host gave it.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with a task, its files or a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is no YAML that can be read.
    #[error("{at}: {detail}")]
    Yaml {
        /// Where.
        at: Place,
        /// What the reader says.
        detail: String,
    },
    /// The file's mapping has a key that no task has.
    #[error("{at}: `{key}` is no key of a task file that is known here")]
    UnknownKey {
        /// Where it stands.
        at: Place,
        /// The key, with the keys above it: `fewshot_config.smpler`.
        key: String,
    },
    /// A key is there that lm-evaluation-harness knows and Merge Studio does not do.
    #[error("{at}: `{key}` is not supported: {why}")]
    UnsupportedKey {
        /// Where it stands.
        at: Place,
        /// The key.
        key: String,
        /// The reason.
        why: &'static str,
    },
    /// A value that lm-evaluation-harness knows, or may know, and Merge Studio does not do.
    #[error("{at}: `{key}: {value}` is not supported: {why}")]
    UnsupportedValue {
        /// Where it stands.
        at: Place,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// The reason.
        why: &'static str,
    },
    /// A value is of the wrong kind.
    #[error("{at}: `{key}` must be {wanted}")]
    WrongKind {
        /// Where it stands.
        at: Place,
        /// The key.
        key: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A task file leaves out what a task needs.
    #[error("{file}: a task needs `{key}`")]
    MissingKey {
        /// The file.
        file: String,
        /// The key.
        key: &'static str,
    },
    /// A Python function is asked for.
    #[error("{at}: `{key}` is the Python function `{function}`, which cannot be run here")]
    Function {
        /// Where it stands.
        at: Place,
        /// The key.
        key: String,
        /// The function.
        function: String,
    },
    /// A task file names another that is not among those given.
    #[error("{at}: `{name}` is not among the files given")]
    NoFile {
        /// Where it is named.
        at: Place,
        /// The file that is missing.
        name: String,
    },
    /// Files include each other in a circle.
    #[error("{at}: `{name}` includes itself")]
    Circle {
        /// Where it is included.
        at: Place,
        /// The file.
        name: String,
    },
    /// A split is named that no data file belongs to.
    #[error("task {task}: `{key}` names the split `{split}`, of which there is no file")]
    NoSplit {
        /// The task.
        task: String,
        /// The key that names it.
        key: &'static str,
        /// The split.
        split: String,
    },
    /// A data file cannot be read.
    #[error("{file}:{line}: {detail}")]
    Data {
        /// The file.
        file: String,
        /// The line, from 1; 0 where it is the file as a whole.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A data file has no documents.
    #[error("{file}: no documents")]
    Empty {
        /// The file.
        file: String,
    },
    /// A data file's fields are not those that a task reads.
    #[error("{file}: {what} needs the fields {wanted}; there are {found}")]
    Fields {
        /// The file.
        file: String,
        /// What needs them.
        what: String,
        /// The fields it needs.
        wanted: String,
        /// Those that there are.
        found: String,
    },
    /// No built-in task has that name.
    #[error("there is no task `{name}` here; there are {known}")]
    UnknownTask {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A template cannot be read.
    #[error("`{key}`, line {line}: {detail}")]
    Template {
        /// The key that holds it.
        key: &'static str,
        /// The template's line.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A regular expression cannot be read, or gives up.
    #[error("regular expression `{pattern}`: {detail}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What is wrong.
        detail: String,
    },
    /// A document does not have what the task takes from it.
    #[error("task {task}, document {document}: `{key}`: {detail}")]
    Document {
        /// The task.
        task: String,
        /// Its place in its split, from 0.
        document: usize,
        /// The key of the task that is about it.
        key: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// More examples are asked for than there are to draw from.
    #[error("task {task}: {wanted} examples are asked for, and there are {there} to draw from")]
    FewExamples {
        /// The task.
        task: String,
        /// Examples drawn a document: one more than is asked for where the document itself may be among them.
        wanted: usize,
        /// Documents to draw from.
        there: usize,
    },
    /// A metric cannot be taken of what was answered.
    #[error("task {task}: {metric}: {detail}")]
    Metric {
        /// The task.
        task: String,
        /// The metric.
        metric: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The answer does not fit what was asked.
    #[error("document {document}: the answer does not fit what was asked")]
    Answer {
        /// Which document was asked about.
        document: usize,
    },
    /// Two evaluations are not of the same questions.
    #[error("{what}")]
    Incomparable {
        /// What differs.
        what: String,
    },
}
