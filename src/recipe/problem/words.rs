//! Places, values and repairs, as messages name them.

use serde::{Deserialize, Serialize};

use crate::recipe::span::{self, Edit};

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
    /// Under the `parameters` of a model or of a slice's source.
    #[error("under the model's `parameters`")]
    ModelParameters,
    /// In an entry of a filter list.
    #[error("into the filter")]
    Filter,
    /// An entry of `slices` itself.
    #[error("into the list of `slices`")]
    Slices,
    /// In an entry of `slices`.
    #[error("into the slice's entry")]
    Slice,
    /// Under the `parameters` of a slice.
    #[error("under the slice's `parameters`")]
    SliceParameters,
    /// An entry of `sources` itself.
    #[error("into the slice's `sources`")]
    Sources,
    /// In an entry of `sources`.
    #[error("into an entry of a slice's `sources`")]
    Source,
    /// In an entry of `modules`.
    #[error("into the module's entry")]
    Module,
    /// Under the `parameters` of a module.
    #[error("under the module's `parameters`")]
    ModuleParameters,
    /// In `tokenizer`.
    #[error("under `tokenizer`")]
    Tokenizer,
    /// In an entry of `tokens`.
    #[error("into the token's entry")]
    Token,
    /// In the `source` of a token.
    #[error("into the token's `source`")]
    TokenSource,
    /// In a model's name that is given as a mapping.
    #[error("into the model's name")]
    Name,
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
    /// An entry of `slices`.
    #[error("an entry like `- sources:` with a list under it")]
    Slice,
    /// The value of `layer_range`.
    #[error("a list of two whole numbers, the first layer and the one after the last, like `[0, 16]`")]
    Layers,
    /// What must be a whole number.
    #[error("a whole number")]
    Whole,
    /// true or false.
    #[error("true or false")]
    Flag,
    /// The name of a model, or `kind: …` lines.
    #[error("a model's name, or `kind: zero`, or `kind: model_token` with `model` and `token`")]
    TokenSource,
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
