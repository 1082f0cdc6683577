//! What the engine's notices say in English.

use merge_studio::model::{IgnoredReason, ModelNotice};
use merge_studio::plan::{CopyReason, LeftOutReason, PlanNotice, TokenDifference};

pub(super) fn model_notice(notice: &ModelNotice) -> String {
    match notice {
        ModelNotice::NoConfig => {
            "no config.json: layers are guessed from the tensors' names, and the output will have none either".into()
        }
        ModelNotice::NoTokenizer => "no tokenizer".into(),
        ModelNotice::MissingShards(shards) => {
            format!("the index names {}, which is not here: its tensors are missing", shards.join(", "))
        }
        ModelNotice::NotInIndex(tensors) => {
            format!("the index does not name {}; merged all the same", tensors.join(", "))
        }
        ModelNotice::IgnoredFile { name, reason } => {
            let reason = match reason {
                IgnoredReason::Adapter => "an adapter beside a whole model".into(),
                IgnoredReason::Consolidated => "the same weights once more".into(),
                IgnoredReason::NotInIndex => "the index does not name it".into(),
                IgnoredReason::TooLarge { limit } => format!("larger than {limit} bytes"),
            };
            format!("{name} is left out: {reason}")
        }
        ModelNotice::UnknownVocabulary { problem } => {
            format!("the vocabulary of tokenizer.json cannot be compared: {problem}")
        }
    }
}

pub(super) fn plan_notice(notice: &PlanNotice) -> String {
    match notice {
        PlanNotice::TokenizersDiffer { input, count, first } => format!(
            "the tokenizer of {input} differs from the one that the output gets: the same token ids mean different things{}; \
             align them with tokenizer_source",
            differences(*count, first)
        ),
        PlanNotice::Vocabulary(notice) => notice.to_string(),
        PlanNotice::Missing { tensor, inputs } => format!("{tensor} is missing from {}", inputs.join(", ")),
        PlanNotice::InStage { stage, notice } => format!("{stage}: {}", plan_notice(notice)),
        PlanNotice::NoConfig { input } => format!("{input} has no config.json, so the output has none"),
        PlanNotice::NoTokenizer { input } => format!("{input} has no tokenizer, so the output has none"),
    }
}

/// ` (7 is "a" for "b", 8 is "c" for "d", …: 12 in all)`
fn differences(count: u64, first: &[TokenDifference]) -> String {
    if first.is_empty() {
        return String::new();
    }
    let token =
        |token: &Option<String>| token.as_ref().map_or_else(|| "nothing".to_owned(), |token| format!("{token:?}"));
    let named = first.iter().map(|one| format!("{} is {} for {}", one.id, token(&one.input), token(&one.donor)));
    format!(" ({}: {count} in all)", named.collect::<Vec<_>>().join(", "))
}

pub(super) fn copy_reason(reason: CopyReason) -> &'static str {
    match reason {
        CopyReason::NotFloat => "integers",
        CopyReason::OnlyOne => "only one model has it",
        CopyReason::OnlyBase => "too few models beside the base have it",
        CopyReason::Untouched => "as it is",
        CopyReason::OutsideModules => "in none of the recipe's modules",
    }
}

pub(super) fn left_out_reason(reason: LeftOutReason) -> &'static str {
    match reason {
        LeftOutReason::Tied => "the embedding stands for it (tied)",
        LeftOutReason::NotInSlices => "no slice asks for it",
    }
}

/// `269.1 MB`: thousands, as disks count.
pub(super) fn bytes(bytes: u64) -> String {
    let (mut amount, mut unit) = (bytes as f64, "bytes");
    for larger in ["KB", "MB", "GB", "TB"] {
        if amount < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1000.0, larger);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

/// `1 tensor`, `2 tensors`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        let cases =
            [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 KB"), (269_060_552, "269.1 MB"), (5 << 40, "5.5 TB")];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }
}
