//! What can be wrong with a recipe: data first, English words second.

mod words;

use serde::{Deserialize, Serialize};

use super::span::Span;
pub use words::{Expected, Fix, FixKind, Found, Place};

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
    /// An alias within its own anchor, or in another document.
    #[error("this alias stands inside of what it names, or in another document; write the value out")]
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
    /// A document of several in which nothing stands.
    #[error("nothing stands in this document; delete its `---`")]
    EmptyDocument,
    /// More documents than any recipe has.
    #[error("more than {limit} documents; no recipe needs that")]
    TooManyDocuments {
        /// The most allowed.
        limit: usize,
    },
    /// A `name` that is blank.
    #[error("a document's `name` may not be empty: write one, or leave it out if this is the output")]
    BlankName,
    /// The name of an earlier document.
    #[error("the document in line {first} is called `{name}`, too; give one of them another `name`")]
    DuplicateName {
        /// The name.
        name: String,
        /// The line of the first.
        first: usize,
    },
    /// A second document without a name.
    #[error(
        "this document has no `name`, nor has the one in line {first}: only the output may be without; add a line `name: …`"
    )]
    SecondOutput {
        /// The line of the first.
        first: usize,
    },
    /// No document is the output.
    #[error("which document is the output? No other uses {}; delete the `name` of the one that is", enumeration(names))]
    SeveralOutputs {
        /// The documents that no other uses.
        names: Vec<String>,
    },
    /// Documents that need each other.
    #[error("{} is made from itself: {}; a result can only be used by what comes after it", names.first().map_or("", String::as_str), circle(names))]
    Circle {
        /// The documents, each made from the next, and the last from the first.
        names: Vec<String>,
    },
    /// The result of another document in the place of an adapter.
    #[error(
        "`{name}` is a document of this recipe, whose result is a model and no adapter; write its name without a `+`"
    )]
    StageAsAdapter {
        /// Its name.
        name: String,
    },
    /// A document that the output does not need.
    #[error("no other document uses `{name}`: it is left out; delete it, or write its name as a model's")]
    UnusedStage {
        /// Its name.
        name: String,
    },
    /// An architecture for a model that says another one of itself.
    #[error("`override_architecture` is not supported")]
    OverrideArchitecture,
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
    /// A key that YAML does not read as text, where names of one's own stand.
    #[error(
        "the name of a parameter, a module or a token must be a text, but YAML reads {found} here; put it in quotation marks"
    )]
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
    /// `models`, `slices`, `modules` or a slice's `sources` has nothing in it.
    #[error("`{key}` lists {}", match key.as_str() {
        "slices" => "no slice; add an entry `- sources: …`",
        "modules" => "no module; add an entry `NAME: …` with `models` or `slices`",
        _ => "no model; add an entry `- model: NAME`",
    })]
    NoEntries {
        /// Which.
        key: String,
    },
    /// Two keys of which only one may be given.
    #[error("`{second}` cannot stand beside `{first}`; remove one of them")]
    Exclusive {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
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
    /// A path that would mean something else in a name.
    #[error(
        "`{path}` cannot stand here: `@` and `+` come before a revision and an adapter in a model's name; give those as `revision` and `lora`, or rename the folder"
    )]
    PathSign {
        /// The path, or the revision.
        path: String,
    },
    /// A number outside what it can be.
    #[error("`{key}` must lie between 0 and {max}, but here is {value}{}", if key == "layer_range" { "; layers count from 0" } else { "" })]
    OutOfRange {
        /// Whose value.
        key: String,
        /// The value.
        value: f64,
        /// The highest allowed.
        max: u64,
    },
    /// More layers than any model has.
    #[error("the slices have more than {limit} layers in all; no model has so many: look at the ranges")]
    TooManyLayers {
        /// The most allowed.
        limit: u64,
    },
    /// A range that holds nothing.
    #[error(
        "no layer lies from {first} to before {end}: this slice adds none to the result; the second number is that of the layer after the last"
    )]
    EmptyRange {
        /// The first layer.
        first: u64,
        /// The one after the last.
        end: u64,
    },
    /// Ranges of different length in one slice.
    #[error(
        "this range has {found} layers, and the one in line {line} has {wanted}: the sources of a slice are merged layer by layer and need the same number"
    )]
    SliceLengths {
        /// How many layers it has; fewer than none if it is reversed.
        found: i64,
        /// How many the first has.
        wanted: i64,
        /// The line of the first.
        line: usize,
    },
    /// The base is not among a slice's sources.
    #[error(
        "`{base}` is the base, but none of this slice's `sources`; add it there, with a `layer_range` and without parameters"
    )]
    BaseNotInSlice {
        /// The base.
        base: String,
    },
    /// A slice's base that counts for nothing.
    #[error("`{method}` has no base: the slice's `base_model` is ignored; leave it out")]
    SliceBase {
        /// The method.
        method: String,
    },
    /// A key that mergekit accepts for nothing.
    #[error("`{key}` has no effect, in mergekit neither; leave it out")]
    NoEffect {
        /// The key.
        key: String,
    },
    /// A `chat_template` that is neither a name nor a template.
    #[error("there is no chat template `{name}` (there are {known}), and a Jinja template has 20 characters or more and a `{{` among them{}", did_you_mean(suggestion.as_ref()))]
    UnknownTemplate {
        /// The text.
        name: String,
        /// The names there are.
        known: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A `kind` of token source that does not exist.
    #[error("there is no `kind` `{name}` (there are zero and model_token){}", did_you_mean(suggestion.as_ref()))]
    UnknownKind {
        /// The kind.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// `kind: model_token` with both or neither of `token` and `token_id`.
    #[error("`kind: model_token` needs one of `token` and `token_id`, and here {}", if *both { "are both; remove one" } else { "is neither; add one" })]
    TokenOrId {
        /// Both.
        both: bool,
    },
    /// `kind: zero` with a model.
    #[error("`kind: zero` takes no `model` (mergekit would take the model and forget the zero); remove one of them")]
    ZeroWithModel,
    /// A token's model that is not in the recipe.
    #[error("`{name}` is none of the recipe's models, so it has no token to give{}", did_you_mean(suggestion.as_ref()))]
    TokenModel {
        /// The model.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A tokenizer's model that is not in the recipe.
    #[error("`{name}` is none of the recipe's models: only its tokenizer will be used{}", did_you_mean(suggestion.as_ref()))]
    TokenizerModel {
        /// The model.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// A token whose embedding is to come from nowhere.
    #[error("`{token}` has no `source`{}", if *force { ", and `force` needs one; add it or leave `force` out" } else { "; mergekit stops if a model lacks the token: give it one" })]
    TokenWithoutSource {
        /// The token.
        token: String,
        /// Whether it is forced.
        force: bool,
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
    #[error("`{parameter}` is one for all models and ignored under a model; move it {belongs}")]
    SharedUnderModel {
        /// The parameter.
        parameter: String,
        /// Where it would count.
        belongs: Place,
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
            | Self::EmptyRange { .. }
            | Self::SliceBase { .. }
            | Self::NoEffect { .. }
            | Self::UnusedStage { .. }
            | Self::TokenizerModel { .. }
            | Self::TokenWithoutSource { force: false, .. }
            | Self::Unreachable { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

fn did_you_mean(suggestion: Option<&String>) -> String {
    suggestion.map_or(String::new(), |suggestion| format!("; did you mean `{suggestion}`?"))
}

fn enumeration(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

fn circle(names: &[String]) -> String {
    names.iter().chain(names.first()).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" from ")
}

fn count(min: usize, max: Option<usize>) -> String {
    let models = |count: usize| if count == 1 { "1 model".to_owned() } else { format!("{count} models") };
    match max {
        Some(max) if max == min => format!("exactly {}", models(min)),
        Some(max) => format!("{min} to {}", models(max)),
        None => format!("at least {}", models(min)),
    }
}
