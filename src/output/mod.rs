//! The model folder around the merged weights: configuration, tokenizer, model card, recipe, ledger, shard index, zip.
