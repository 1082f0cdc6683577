//! The words of mergekit's language that are not in our own data: its keys, misspelt dtypes.

/// Keys of the recipe itself.
pub(in crate::recipe) const TOP: [&str; 11] = [
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
];

/// Keys of an entry of `models`.
pub(in crate::recipe) const MODEL: [&str; 2] = ["model", "parameters"];

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
