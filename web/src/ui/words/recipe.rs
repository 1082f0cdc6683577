//! Words about the recipe.

use merge_studio::recipe::{Part, Problem, Severity, TokenRule, TokenSource};

use super::super::agreement::Agreement;
use super::super::binding::How;
use super::super::edit_slices::{Taken, count as layers_of};
use super::super::numbers;

/// The region.
pub const REGION: &str = "Recipe";
/// Tabs.
pub const FORM: &str = "Form";
/// Tabs.
pub const YAML: &str = "YAML";
/// The tab list.
pub const VIEWS: &str = "Recipe as";
/// Menu and its heading.
pub const EXAMPLES: &str = "Examples";
/// Button.
pub const OPEN: &str = "Open recipe";
/// Button.
pub const SAVE: &str = "Save recipe";
/// Name of the saved file.
pub const FILE_NAME: &str = "recipe.yaml";
/// The editor.
pub const EDITOR: &str = "Recipe YAML";
/// While the editor loads.
pub const EDITOR_LOADING: &str = "Opening the editor…";
/// The editor's file did not come: the plain field stands in.
pub const EDITOR_MISSING: &str = "The editor with colours could not be loaded. This plain field does the same work.";
/// First words of the pane.
pub const EMPTY: &str = "Say how to merge: take an example, open or paste a mergekit recipe, or choose a method and start from what is loaded.";
/// Form labels.
pub const METHOD: &str = "Merge method";
/// Form labels.
pub const BASE: &str = "Base model";
/// No choice made.
pub const CHOOSE_METHOD: &str = "Choose a method…";
/// No choice made.
pub const NO_BASE: &str = "None";
/// No choice made.
pub const CHOOSE_BASE: &str = "Choose a model…";
/// Link behind the summary.
pub const PAPER: &str = "Paper";
/// Heading of inputs.
pub const INPUTS: &str = "Models to merge";
/// Heading of shared parameters.
pub const SHARED: &str = "For all models";
/// Heading of dtypes.
pub const RESULT: &str = "Result";
/// Label.
pub const DTYPE: &str = "dtype";
/// Label.
pub const OUT_DTYPE: &str = "out_dtype";
/// No dtype given.
pub const DTYPE_AUTO: &str = "as the inputs";
/// No out_dtype given.
pub const OUT_DTYPE_AUTO: &str = "as dtype";
/// Adding an input.
pub const ADD_MODEL: &str = "Add model to recipe";
/// Adding an input that is not loaded.
pub const ADD_MODEL_HINT: &str = "Choose a model…";
/// The base stands in the list as well.
pub const IS_BASE: &str = "base: it takes no parameters here";
/// The list.
pub const PROBLEMS: &str = "Problems";
/// Nothing wrong.
pub const NO_PROBLEMS: &str = "No problems.";
/// The form can't show a broken text.
pub const FORM_BLIND: &str =
    "The form shows recipes without errors. Mend the problems below, or in YAML; nothing is lost.";
/// Goes to YAML.
pub const TO_YAML: &str = "Open YAML";
/// After a form edit that rewrote a commented text.
pub const COMMENTS_LOST: &str =
    "The form wrote the recipe anew, without its comments. Undo in YAML (Ctrl+Z) brings them back.";
/// Before one.
pub const COMMENTS_AT_RISK: &str =
    "This recipe has comments. An edit in the form writes it anew without them; edits in YAML keep them.";
/// Ways a parameter can be written.
pub const ONE_VALUE: &str = "one value";
/// Ways a parameter can be written.
pub const ALONG_LAYERS: &str = "along the layers";
/// Ways a parameter can be written.
pub const BY_NAME: &str = "by tensor name";
/// Button.
pub const ADD_POINT: &str = "Add point";
/// Button.
pub const REMOVE_POINT: &str = "Remove point";
/// Button.
pub const ADD_FILTER: &str = "Add filter";
/// What an empty filter means.
pub const EVERY_TENSOR: &str = "every other tensor";
/// Below a curve.
pub const FIRST_LAYER: &str = "first layer";
/// Below a curve.
pub const LAST_LAYER: &str = "last layer";
/// Back to the default.
pub const RESET: &str = "Reset";
/// Banner heading.
pub const REPAIRED: &str = "This recipe had lost its indentation and was repaired.";
/// Banner heading.
pub const NOT_REPAIRED: &str = "This recipe could not be repaired without guessing.";
/// Undo button of the banner.
pub const UNDO_REPAIR: &str = "Undo";
/// Heading of the bindings.
pub const BINDINGS: &str = "The recipe's names";
/// No model chosen.
pub const NO_MODEL: &str = "Choose a model…";
/// Explains suggestions.
pub const SUGGESTED: &str = "suggested by order";
/// Link banner.
pub const LINK_OPENED: &str = "Opened from a link.";
/// Link banner.
pub const LINK_WAITS: &str = "It carries a recipe and a seed. Nothing runs until you press Merge.";
/// Link banner.
pub const LINK_NEEDS: &str = "Models it names";
/// Link banner.
pub const LINK_BACK: &str = "Back to my recipe";
/// Link banner.
pub const LINK_DAMAGED: &str = "The link could not be opened, and nothing was changed.";
/// Link banner.
pub const LINK_CHANGED: &str = "You changed the recipe or the seed since: the result will be another one.";

/// Legend of the choice between whole models and slices.
pub const SHAPE: &str = "Merge";
/// Choices.
pub const WHOLE: &str = "Whole models";
/// Choices.
pub const SLICES: &str = "Slices";
/// Why slices can't be chosen yet.
pub const SLICES_WANT_MODELS: &str = "Slices of layers can be chosen once all models of the recipe are loaded.";
/// Heading of slices.
pub const SLICES_LEGEND: &str = "Slices, one on top of the other: the first is the first layers";
/// Button.
pub const ADD_SLICE: &str = "Add slice";
/// Adding a source.
pub const ADD_SOURCE: &str = "Add source";
/// Before the first layer.
pub const RANGE_FROM: &str = "layers";
/// Before the last.
pub const RANGE_TO: &str = "to";
/// A slice without a base of its own.
pub const BASE_OF_RECIPE: &str = "the recipe's";
/// Heading of modules.
pub const MODULES: &str = "Modules";
/// The form does not edit them.
pub const MODULES_IN_YAML: &str = "This recipe merges modules, parts of a model that are merged each by itself. Edit them as YAML; what else the form shows can be edited here.";
/// Goes to YAML.
pub const EDIT_YAML: &str = "Edit in YAML";
/// Label.
pub const ADAPTER: &str = "adapter";
/// No adapter chosen.
pub const NO_ADAPTER: &str = "none";
/// Heading of tokenizer and chat template.
pub const VOCABULARY: &str = "Vocabulary";
/// Label.
pub const TOKENIZER: &str = "Tokenizer";
/// Choices.
pub const TOKENIZER_NONE: &str = "As the base's, rows as they are";
/// Choices.
pub const TOKENIZER_UNION: &str = "Union of all";
/// Choices.
pub const TOKENIZER_BASE: &str = "The base's";
/// What a choice does.
pub const TOKENIZER_NONE_WHY: &str = "Row n is merged with row n, whatever token it stands for.";
/// What a choice does.
pub const TOKENIZER_UNION_WHY: &str = "Every token that any model has. Rows are matched by their tokens.";
/// What a choice does.
pub const TOKENIZER_ONE_WHY: &str = "This tokenizer's tokens. The other models' rows are matched by their tokens.";
/// Label.
pub const PAD_TO: &str = "Pad to a multiple of";
/// Nothing is padded.
pub const NO_PADDING: &str = "no padding";
/// Heading of token rules.
pub const TOKENS: &str = "Rules for single tokens";
/// Label.
pub const TEMPLATE: &str = "Chat template";
/// Label.
pub const TEMPLATE_TEXT: &str = "Chat template text (Jinja)";
/// Choices.
pub const NO_TEMPLATE: &str = "as the tokenizer's";
/// Choices.
pub const AUTO_TEMPLATE: &str = "auto: what most models have";
/// Choices.
pub const OWN_TEMPLATE: &str = "a text of my own…";
/// What a text of one's own starts with.
pub const FIRST_TEMPLATE: &str =
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}";

/// A slice's name.
pub fn slice(number: usize) -> String {
    format!("slice {number}")
}

/// A model in a slice.
pub fn in_slice(model: &str, slice: usize) -> String {
    format!("{model} in slice {slice}")
}

/// Label of the select of a source's model.
pub fn model_of_source(source: usize, slice: usize) -> String {
    format!("model of source {source} in slice {slice}")
}

/// Label of the field.
pub fn first_layer(name: &str) -> String {
    format!("first layer of {name}")
}

/// Label of the field.
pub fn last_layer(name: &str) -> String {
    format!("last layer of {name}")
}

/// Layers 0–15, 16 of them.
pub fn range(layers: (u64, u64), depth: Option<u64>) -> String {
    let number = layers_of(layers);
    let of = depth.map_or_else(String::new, |depth| format!(" of {}", numbers::grouped(depth)));
    match number {
        0 => "no layer".to_owned(),
        1 => format!("layer {}, 1{of}", layers.0),
        _ => format!("layers {}–{}, {}{of}", layers.0, layers.1 - 1, numbers::grouped(number)),
    }
}

/// Above the picture of slices.
pub fn output_layers(layers: u64, slices: u64) -> String {
    let layers = super::count(layers, "layer", "layers");
    format!("{layers} from {}, from the first (left) to the last:", super::count(slices, "slice", "slices"))
}

/// What slices take of a model.
pub fn taken(taken: &Taken) -> String {
    let mut words = taken.model.clone();
    if taken.repeated > 0 {
        words += &format!(", {} repeated", super::count(taken.repeated, "layer is", "layers are"));
    }
    match taken.dropped {
        Some(0) => words + if taken.repeated > 0 { "" } else { ", all layers" },
        Some(dropped) => words + &format!(", {} left out", super::count(dropped, "layer is", "layers are")),
        None => words,
    }
}

/// Heading of what is said for all sources of a slice.
pub fn settings_of(slice: &str) -> String {
    format!("Settings of {slice}")
}

/// Label of a slice's base.
pub fn base_of(slice: &str) -> String {
    format!("Base model of {slice}")
}

/// Label of the select of a model's adapter.
pub fn adapter_for(model: &str) -> String {
    format!("adapter for {model}")
}

/// What a module is made from.
pub fn module(part: &Part<'_>) -> String {
    let names: Vec<String> = part.models.iter().map(|entry| entry.model.clone()).collect();
    if names.is_empty() { super::count(part.slices.len() as u64, "slice", "slices") } else { super::listed(&names) }
}

/// The tokenizer of one model.
pub fn tokenizer_of(model: &str) -> String {
    format!("That of {model}")
}

/// Where a token's row comes from.
pub fn token_rule(rule: &TokenRule) -> String {
    let source = match &rule.source {
        None => "is in the vocabulary".to_owned(),
        Some(TokenSource::Zero) => "zeros".to_owned(),
        Some(TokenSource::Model(model)) => format!("as in {model}"),
        Some(TokenSource::Token { model, token }) => format!("as {token} in {model}"),
        Some(TokenSource::Id { model, id }) => format!("as row {id} of {model}"),
    };
    if rule.force { format!("{source}, for all models") } else { source }
}

/// Button.
pub fn remove_token(token: &str) -> String {
    format!("Remove the rule for {token}")
}

/// What was repaired, above the list of it.
pub fn repairs(number: u64) -> String {
    super::count(number, "change, line by line", "changes, line by line")
}

/// Label of a parameter of a model.
pub fn of_model(parameter: &str, model: &str) -> String {
    format!("{parameter} of {model}")
}

/// Label of the select that says how a parameter is written.
pub fn kind_of(label: &str) -> String {
    format!("How {label} is given")
}

/// Label of a gradient's text.
pub fn points_of(label: &str) -> String {
    format!("{label}, values from first to last layer")
}

/// Label of a gradient's handle.
pub fn point_of(label: &str, at: usize, count: usize) -> String {
    format!("{label}, point {} of {count}", at + 1)
}

/// Label of a filter's name.
pub fn filter_of(label: &str, at: usize) -> String {
    format!("{label}, filter {}: part of a tensor's name", at + 1)
}

/// Label of a filter's value.
pub fn filter_value_of(label: &str, at: usize) -> String {
    format!("{label}, filter {}: value", at + 1)
}

/// Label of a filter's remove button.
pub fn remove_filter(label: &str, at: usize) -> String {
    format!("Remove filter {} of {label}", at + 1)
}

/// Button: back to the default.
pub fn reset(label: &str) -> String {
    format!("Reset {label}")
}

/// What counts while nothing is written.
pub fn default_is(value: &str) -> String {
    format!("default {value}")
}

/// What counts while nothing is written under the model.
pub fn inherited(value: &str) -> String {
    format!("{value} for all")
}

/// Buttons of an input.
pub fn remove(name: &str) -> String {
    format!("Take {name} out of the recipe")
}

/// Buttons of an input.
pub fn up(name: &str) -> String {
    format!("Move {name} up")
}

/// Buttons of an input.
pub fn down(name: &str) -> String {
    format!("Move {name} down")
}

/// The combobox of a name.
pub fn which(name: &str) -> String {
    format!("Which model is {name}?")
}

/// How a name got its model.
pub fn how(how: How) -> &'static str {
    match how {
        How::Chosen => "your choice",
        How::Named => "same name",
        How::Suggested => SUGGESTED,
    }
}

/// A problem's message, as a sentence.
pub fn problem(problem: &Problem) -> String {
    super::sentence(&problem.kind.to_string())
}

/// A problem's place.
pub fn place(line: usize, column: usize) -> String {
    format!("{line}:{column}")
}

/// A problem's place, spelled out.
pub fn place_spoken(line: usize, column: usize) -> String {
    format!("{}, line {line}, column {column}", place(line, column))
}

/// A problem's weight.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    }
}

/// Whether a loaded model is the one that a link means.
pub fn agreement(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Same => "same as in the link",
        Agreement::Different => "different from the link's",
        Agreement::Unknown => "unknown: the link has no fingerprint",
        Agreement::Absent => "not loaded yet",
    }
}

/// A file that is no text.
pub fn not_text(name: &str) -> String {
    format!("{name} is not a text file. A recipe is YAML text, usually a .yaml file.")
}
