//! What can be wrong with a recipe: data first, English words second.

use serde::{Deserialize, Serialize};

use super::span::{self, Edit, Span};

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether it stops the merge.
    pub severity: Severity,
    /// The token that it is about.
    pub span: Span,
    /// What it is.
    pub kind: ProblemKind,
    /// A repair, where there is one that needs no guessing.
    pub fix: Option<Fix>,
}

impl Problem {
    pub(super) fn new(span: Span, kind: ProblemKind) -> Self {
        Self { severity: kind.severity(), span, kind, fix: None }
    }

    pub(super) fn with(self, fix: impl Into<Option<Fix>>) -> Self {
        Self { fix: fix.into(), ..self }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "line {}, column {}: {severity}: {}", self.span.line, self.span.column, self.kind)
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// mergekit would ignore something without a word, or the recipe says something that has no effect.
    Warning,
    /// The recipe cannot run.
    Error,
}

/// A repair of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What it does, for its button.
    pub kind: FixKind,
    /// How it does it.
    pub edits: Vec<Edit>,
}

impl Fix {
    /// The repaired text. `text` is the one that was checked.
    pub fn apply(&self, text: &str) -> String {
        span::apply(text, &self.edits)
    }
}

/// What a fix does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FixKind {
    /// Another word for this one.
    #[error("Change to `{to}`")]
    Replace {
        /// The new word.
        to: String,
    },
    /// Quotation marks around a text that YAML takes for something else.
    #[error("Put it in quotation marks")]
    Quote,
    /// The entry goes where it belongs.
    #[error("Move `{key}` {to}")]
    Move {
        /// The key of the entry.
        key: String,
        /// Where it belongs.
        to: Place,
    },
    /// A line `base_model: …` is added.
    #[error("Set `base_model` to {model}")]
    SetBase {
        /// The first of the models.
        model: String,
    },
    /// The entry goes away.
    #[error("Remove `{key}`")]
    Remove {
        /// Its key.
        key: String,
    },
    /// Spaces for a tab.
    #[error("Replace the tab with spaces")]
    TabToSpaces,
}

/// A place in a recipe where keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Place {
    /// Not indented.
    #[error("to the top level")]
    Top,
    /// An entry of `models` itself.
    #[error("into the list of `models`")]
    Models,
    /// In an entry of `models`.
    #[error("into the model's entry")]
    Model,
    /// Under the recipe's own `parameters`.
    #[error("under `parameters`")]
    Parameters,
    /// Under the `parameters` of a model.
    #[error("under the model's `parameters`")]
    ModelParameters,
    /// In an entry of a filter list.
    #[error("into the filter")]
    Filter,
}

/// A feature of mergekit that is still to come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Feature {
    /// More than one YAML document.
    #[error("several documents in one text")]
    SeveralDocuments,
    /// `slices`.
    #[error("`slices`")]
    Slices,
    /// `modules`.
    #[error("`modules`")]
    Modules,
    /// `tokenizer`.
    #[error("`tokenizer`")]
    Tokenizer,
    /// `tokenizer_source`.
    #[error("`tokenizer_source`")]
    TokenizerSource,
    /// `chat_template`.
    #[error("`chat_template`")]
    ChatTemplate,
    /// `model+adapter`.
    #[error("a LoRA adapter (`+` in a model's name)")]
    Lora,
    /// A model's name given as a mapping.
    #[error("a model given as a mapping")]
    ModelMapping,
}

/// What a value is, in the words of a message.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Found {
    /// Nothing, or null.
    #[error("nothing")]
    Nothing,
    /// A flag.
    #[error("{}", if *.0 { "true" } else { "false" })]
    Flag(bool),
    /// A number.
    #[error("the number {0}")]
    Number(f64),
    /// A date.
    #[error("a date")]
    Date,
    /// A text.
    #[error("the text “{0}”")]
    Text(String),
    /// A list.
    #[error("a list")]
    List,
    /// A mapping.
    #[error("a mapping")]
    Mapping,
}

/// What a value should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Expected {
    /// `key: value` lines.
    #[error("a mapping (`key: value` lines)")]
    Mapping,
    /// `- item` lines.
    #[error("a list (`- …` lines)")]
    List,
    /// An entry of `models`.
    #[error("an entry like `- model: NAME`")]
    Model,
    /// A text.
    #[error("a text")]
    Text,
    /// What a parameter can be.
    #[error("a value, a list of values along the layers, or a list of `filter`/`value` entries")]
    Setting,
    /// What stands in a gradient or under a filter's `value`.
    #[error("a value or a list of values")]
    Gradient,
    /// An entry of a filter list.
    #[error("an entry with `filter` and `value`: a list cannot mix those with plain values")]
    Filter,
}

/// Every problem there is.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum ProblemKind {
    /// The YAML does not parse.
    #[error("this is not YAML: {detail}; look at this line and the one before it")]
    Syntax {
        /// The parser's words.
        detail: String,
    },
    /// Nothing is there.
    #[error("the recipe is empty; begin with `models:` or open an example")]
    Empty,
    /// The text is longer than any recipe.
    #[error("{bytes} bytes is too long for a recipe (at most {limit}); is this the right file?")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A character that YAML forbids.
    #[error("the character U+{code:04X} cannot stand in YAML; is this a text file? If so, delete the character")]
    Character {
        /// Its code point.
        code: u32,
    },
    /// A tab where YAML wants spaces.
    #[error("YAML takes no tabs here; use spaces")]
    Tab,
    /// Nested too deeply.
    #[error("nested more than {limit} deep; no recipe needs that")]
    TooDeep {
        /// The deepest allowed.
        limit: usize,
    },
    /// Too many values, aliases expanded.
    #[error("more than {limit} values once aliases are expanded; no recipe needs that")]
    TooManyNodes {
        /// The most allowed.
        limit: usize,
    },
    /// `!tag`
    #[error("tags (`!…`) have no meaning in a recipe; delete it")]
    Tag,
    /// An alias within its own anchor.
    #[error("this alias stands inside of what it names; write the value out")]
    AliasInside,
    /// A list or mapping as a key.
    #[error("a key must be a word, not a list or a mapping")]
    KeyNotScalar,
    /// `<<` with something else than mappings.
    #[error("`<<` merges mappings only")]
    MergeNotMapping,
    /// A key stands twice.
    #[error(
        "`{key}` stands here a second time: this one counts, the one in line {first} is ignored; delete one of them"
    )]
    DuplicateKey {
        /// The key.
        key: String,
        /// The line of the first.
        first: usize,
    },
    /// A feature that we lack.
    #[error("{feature} is not supported yet")]
    NotSupported {
        /// Which.
        feature: Feature,
    },
    /// A value of the wrong shape.
    #[error("{} must be {expected}, but here is {found}", key.as_ref().map_or("this".to_owned(), |key| format!("`{key}`")))]
    Shape {
        /// Whose value, if it has a key.
        key: Option<String>,
        /// What it should be.
        expected: Expected,
        /// What it is.
        found: Found,
    },
    /// A key of the language is missing.
    #[error("`{key}` is missing; add a line `{key}: …`")]
    MissingKey {
        /// Which.
        key: String,
    },
    /// A key that the language does not have.
    #[error("`{key}` is no key of a recipe and is ignored{}", did_you_mean(suggestion.as_ref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        place: Place,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A key in a place where it is ignored.
    #[error("`{key}` is ignored here; move it {belongs}")]
    Misplaced {
        /// The key.
        key: String,
        /// Where it would count.
        belongs: Place,
    },
    /// A key that YAML does not read as text, under `parameters`.
    #[error("the name of a parameter must be a text, but YAML reads {found} here; put it in quotation marks")]
    KeyNotText {
        /// What it is.
        found: Found,
    },
    /// A method that nobody has.
    #[error("there is no merge method `{name}`{}", did_you_mean(suggestion.as_ref()))]
    UnknownMethod {
        /// The name.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// `models` is an empty list.
    #[error("`models` lists no model; add an entry `- model: NAME`")]
    NoModels,
    /// Too few or too many models.
    #[error("`{method}` takes {}, a base not counted, but here are {found}", count(*min, *max))]
    ModelCount {
        /// The method.
        method: String,
        /// How many there are.
        found: usize,
        /// The fewest.
        min: usize,
        /// The most.
        max: Option<usize>,
    },
    /// The same model twice.
    #[error("`{name}` is already in line {first}; a model can be merged once: delete one entry and add up the weights")]
    DuplicateModel {
        /// The model.
        name: String,
        /// The line of the first.
        first: usize,
    },
    /// A name that means no model.
    #[error("`{name}` is no model's name: it may hold one `@` (a revision) and one `+` (an adapter), and not be empty")]
    ModelName {
        /// The name.
        name: String,
    },
    /// The method needs a base.
    #[error("`{method}` needs a `base_model`; add a line `base_model: NAME`")]
    MissingBase {
        /// The method.
        method: String,
    },
    /// The base becomes an ordinary input that lacks a parameter.
    #[error(
        "`{method}` has no base: `{base}` is merged like the models, and lacks a `{parameter}`; list it under `models` with one, or remove `base_model`"
    )]
    BaseIsInput {
        /// The method.
        method: String,
        /// The base.
        base: String,
        /// What it lacks.
        parameter: String,
    },
    /// A `dtype` that does not exist.
    #[error("there is no dtype `{name}` (there are float16, bfloat16, float32 and float64){}", did_you_mean(suggestion.as_ref()))]
    UnknownDtype {
        /// The name.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// `int64`
    #[error("weights cannot be merged as `{name}`, which has no fractions; use float16, bfloat16, float32 or float64")]
    IntegerDtype {
        /// The name.
        name: String,
    },
    /// A parameter that the method does not have.
    #[error("`{method}` has no parameter `{parameter}` and ignores it{}", did_you_mean(suggestion.as_ref()))]
    ForeignParameter {
        /// The parameter.
        parameter: String,
        /// The method.
        method: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A shared parameter under a model.
    #[error(
        "`{parameter}` is one for all models and ignored under a model; move it under the recipe's own `parameters`"
    )]
    SharedUnderModel {
        /// The parameter.
        parameter: String,
    },
    /// A required parameter is missing.
    #[error(
        "`{method}` needs `{parameter}`{}; give one {}",
        model.as_ref().map_or(String::new(), |model| format!(" for `{model}`")),
        if model.is_some() { "under the model's `parameters`" } else { "under `parameters`" }
    )]
    MissingParameter {
        /// The method.
        method: String,
        /// The parameter.
        parameter: String,
        /// Whose, if each model has its own.
        model: Option<String>,
    },
    /// Something else than a number.
    #[error("`{parameter}` must be a number, but here is {found}")]
    NotANumber {
        /// The parameter.
        parameter: String,
        /// What it is.
        found: Found,
    },
    /// Infinity, or not a number.
    #[error("`{parameter}` must be finite; every weight of the result would be infinite or NaN")]
    NotFinite {
        /// The parameter.
        parameter: String,
    },
    /// Something else than a flag.
    #[error("`{parameter}` must be true or false, but here is {found}")]
    NotAFlag {
        /// The parameter.
        parameter: String,
        /// What it is.
        found: Found,
    },
    /// A flag where a number is wanted.
    #[error("`{parameter}` is a number: {flag} counts as {}; write the number", u8::from(*flag))]
    FlagForNumber {
        /// The parameter.
        parameter: String,
        /// The flag.
        flag: bool,
    },
    /// Lower than the method can take.
    #[error("`{parameter}` must be at least {floor}, but here is {value}")]
    BelowFloor {
        /// The parameter.
        parameter: String,
        /// The value.
        value: f64,
        /// The lowest allowed.
        floor: f64,
    },
    /// A density above 1.
    #[error("a `density` above 1 keeps everything, as 1 does; a share lies between 0 and 1")]
    DensityAboveOne {
        /// The value.
        value: f64,
    },
    /// A density of 0 or less.
    #[error("a `density` of {value} drops all that this model learned; a share lies between 0 and 1")]
    DensityDropsAll {
        /// The value.
        value: f64,
    },
    /// Every density is 1.
    #[error("with a `density` of 1 everywhere `{method}` drops nothing; lower it, or leave it out")]
    DensityKeepsAll {
        /// The method.
        method: String,
    },
    /// The method accepts a parameter for nothing.
    #[error("`{method}` accepts `{parameter}` but does nothing with it; leave it out")]
    IdleParameter {
        /// The method.
        method: String,
        /// The parameter.
        parameter: String,
    },
    /// A parameter of the models that are not the base, under the base.
    #[error("`{base}` is the base, and a base's `{parameter}` is ignored; leave it out")]
    BaseParameter {
        /// The base.
        base: String,
        /// The parameter.
        parameter: String,
    },
    /// The weights to divide by sum to zero.
    #[error("the weights sum to zero, and `{method}` divides by their sum; change a weight or set `normalize: false`")]
    ZeroWeights {
        /// The method.
        method: String,
    },
    /// An empty list.
    #[error("an empty list gives `{parameter}` no value; write one, or leave it out")]
    EmptyList {
        /// The parameter.
        parameter: String,
    },
    /// A filter entry behind one that matches everything.
    #[error("this entry is never reached: the one in line {catch_all} matches every tensor; put it before that one")]
    Unreachable {
        /// The line of the entry that matches everything.
        catch_all: usize,
    },
}

impl ProblemKind {
    /// Whether it stops the merge.
    pub fn severity(&self) -> Severity {
        match self {
            Self::DuplicateKey { .. }
            | Self::UnknownKey { .. }
            | Self::Misplaced { .. }
            | Self::ForeignParameter { .. }
            | Self::SharedUnderModel { .. }
            | Self::FlagForNumber { .. }
            | Self::DensityAboveOne { .. }
            | Self::DensityDropsAll { .. }
            | Self::DensityKeepsAll { .. }
            | Self::IdleParameter { .. }
            | Self::BaseParameter { .. }
            | Self::EmptyList { .. }
            | Self::Unreachable { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

fn did_you_mean(suggestion: Option<&String>) -> String {
    suggestion.map_or(String::new(), |suggestion| format!("; did you mean `{suggestion}`?"))
}

fn count(min: usize, max: Option<usize>) -> String {
    let models = |count: usize| if count == 1 { "1 model".to_owned() } else { format!("{count} models") };
    match max {
        Some(max) if max == min => format!("exactly {}", models(min)),
        Some(max) => format!("{min} to {}", models(max)),
        None => format!("at least {}", models(min)),
    }
}
