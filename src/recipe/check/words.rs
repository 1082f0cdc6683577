//! The words of mergekit's language that are not in our own data: its keys, misspelt dtypes.

/// Keys of the recipe itself.
pub(in crate::recipe) const TOP: [&str; 12] = [
    "models",
    "slices",
    "modules",
    "merge_method",
    "base_model",
    "parameters",
    "dtype",
    "out_dtype",
    "tokenizer",
    "tokenizer_source",
    "chat_template",
    STAGE_NAME,
];

/// The key of a document's name.
pub(in crate::recipe) const STAGE_NAME: &str = "name";

/// Keys of an entry of `models`.
pub(in crate::recipe) const MODEL: [&str; 2] = ["model", "parameters"];

/// Keys of an entry of `slices`.
pub(in crate::recipe) const SLICE: [&str; 4] = ["sources", "base_model", "residual_weight", "parameters"];

/// Keys of an entry of a slice's `sources`.
pub(in crate::recipe) const SOURCE: [&str; 3] = ["model", "layer_range", "parameters"];

/// Keys of an entry of `modules`.
pub(in crate::recipe) const MODULE: [&str; 3] = ["models", "slices", "parameters"];

/// Keys of `tokenizer`.
pub(in crate::recipe) const TOKENIZER: [&str; 3] = ["source", "tokens", "pad_to_multiple_of"];

/// Words for a tokenizer's source that are no model's name.
pub(in crate::recipe) const TOKENIZER_SOURCES: [&str; 2] = ["union", "base"];

/// Keys of an entry of `tokens`.
pub(in crate::recipe) const TOKEN: [&str; 2] = ["source", "force"];

/// Keys of a token's `source`.
pub(in crate::recipe) const TOKEN_SOURCE: [&str; 4] = ["kind", "model", "token", "token_id"];

/// Values of a token source's `kind`.
pub(in crate::recipe) const TOKEN_KINDS: [&str; 2] = ["zero", "model_token"];

/// Keys of a model's name as a mapping.
pub(super) const NAME: [&str; 3] = ["model", "lora", "override_architecture"];

/// Keys of a path in such a mapping.
pub(super) const PATH: [&str; 2] = ["path", "revision"];

/// The chat templates that mergekit brings along, and `auto`: the one that most of the models have.
pub(in crate::recipe) const TEMPLATES: [&str; 6] = ["auto", "alpaca", "chatml", "exaone", "llama3", "mistral"];

/// Keys of an entry of a filter list.
pub(in crate::recipe) const FILTER: [&str; 2] = ["filter", "value"];

/// What people write for a dtype that mergekit refuses.
pub(super) fn intended_dtype(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    Some(match word.strip_prefix("torch.").unwrap_or(&word) {
        "float16" | "fp16" | "f16" | "half" | "float_16" => "float16",
        "bfloat16" | "bf16" | "bfloat" | "bfloat_16" | "bfp16" | "brainfloat16" => "bfloat16",
        "float32" | "fp32" | "f32" | "float" | "single" | "full" | "float_32" => "float32",
        "float64" | "fp64" | "f64" | "double" | "float_64" => "float64",
        _ => return None,
    })
}
