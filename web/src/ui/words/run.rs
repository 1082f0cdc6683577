//! Words about planning, merging and results.

use merge_studio::plan::{CopyReason, LeftOutReason, Plan, PlanNotice, TokenDifference};

use super::super::agreement::Verdict;
use super::super::numbers;
use super::super::state::Missing;
use super::{count, listed, machine};
use crate::bridge::SaveError;
use crate::protocol::{BackendKind, MergeError, RunNotice, StageAt};

/// The region.
pub const REGION: &str = "Run";
/// What comes out.
pub const EMPTY: &str = "Here you see what will happen to every tensor before it happens. Then merge, and take away a model folder and a link that reproduces it.";
/// Heading of the missing.
pub const BEFORE: &str = "Before you can merge";
/// While the plan is made.
pub const PLANNING: &str = "Planning…";
/// The plan was refused.
pub const REFUSED: &str = "This can't be merged";
/// Controls.
pub const RUN_ON: &str = "Run on";
/// Choices.
pub const AUTO: &str = "Auto";
/// Choices.
pub const WEBGPU: &str = "WebGPU";
/// Choices.
pub const CPU: &str = "CPU";
/// Controls.
pub const SEED: &str = "Seed";
/// When no method draws coins.
pub const SEED_IDLE: &str = "This method draws nothing at random.";
/// The button.
pub const MERGE: &str = "Merge";
/// The button.
pub const CANCEL: &str = "Cancel";
/// The button, pressed.
pub const CANCELLING: &str = "Cancelling…";
/// The bar.
pub const PROGRESS: &str = "Merge progress";
/// Before the first report.
pub const STARTING: &str = "Starting…";
/// The ledger.
pub const TENSORS: &str = "Tensors";
/// Its filter.
pub const FILTER: &str = "Filter tensors";
/// Its filter.
pub const FILTER_HINT: &str = "part of a name, a rule, a type…";
/// Columns.
pub const COLUMNS: [&str; 6] = ["Name", "Rule", "Parameters", "Sources", "Shape", "Type"];
/// Nothing matches.
pub const NO_MATCH: &str = "No tensor matches.";
/// Pages of the ledger.
pub const PREVIOUS: &str = "Previous";
/// Pages of the ledger.
pub const NEXT: &str = "Next";
/// Facts.
pub const OUTPUT: &str = "Output";
/// Facts.
pub const MEMORY: &str = "Peak memory";
/// Facts.
pub const MERGED: &str = "Merged";
/// Facts.
pub const COPIED: &str = "Copied";
/// Facts.
pub const TIED: &str = "Tied";
/// Facts.
pub const LAYERS: &str = "Layers";
/// Facts.
pub const VOCABULARY: &str = "Vocabulary";
/// Mends vocabularies that differ.
pub const ALIGN_UNION: &str = "Align vocabularies (union)";
/// Mends vocabularies that differ.
pub const ALIGN_BASE: &str = "Keep the base's vocabulary";
/// Result's heading.
pub const RESULT: &str = "Result";
/// Buttons.
pub const DOWNLOAD: &str = "Download zip";
/// Buttons.
pub const SAVE_FOLDER: &str = "Save to folder";
/// Buttons.
pub const COPY_LINK: &str = "Copy link";
/// Buttons.
pub const SHOW_QR: &str = "Show QR code";
/// Buttons.
pub const HIDE_QR: &str = "Hide QR code";
/// Buttons.
pub const DISCARD: &str = "Discard result";
/// After copying.
pub const LINK_COPIED: &str = "Link copied.";
/// Where the clipboard is closed.
pub const LINK_HERE: &str = "The clipboard is closed to this page. Copy the link from here:";
/// The link's field.
pub const LINK_FIELD: &str = "Link";
/// Too long.
pub const QR_TOO_LONG: &str = "The link is too long for a QR code. Copy it instead.";
/// The picture's name.
pub const QR: &str = "QR code of the link";
/// Files' heading.
pub const FILES: &str = "Files";
/// Before a hash is known.
pub const HASHING: &str = "SHA-256 is being computed…";
/// Facts.
pub const TIME: &str = "Time";
/// Facts.
pub const READ: &str = "Read";
/// Facts.
pub const WRITTEN: &str = "Written";
/// Facts.
pub const MADE_BY: &str = "Made by";
/// Heading of warnings.
pub const NOTICES: &str = "What came up";
/// The result belongs to another recipe by now.
pub const OUTDATED: &str = "The recipe, the models or the seed changed since this result was made.";
/// Status.
pub const MERGING: &str = "Merging.";
/// Status.
pub const CANCELLED: &str = "The merge was cancelled. What it wrote was removed.";
/// Status.
pub const READY: &str = "Ready to merge.";
/// What a GPU's hash can't say.
pub const NO_OUTPUT_HASH: &str = "The link carries no hash of this result: hashes come from merges on the CPU alone.";
/// What it can.
pub const OUTPUT_HASHED: &str =
    "The link carries this result's hash: whoever merges it on the CPU sees whether the bytes agree.";

/// What is missing before a merge, and what to do.
pub fn missing(missing: &Missing) -> String {
    match missing {
        Missing::Models => "Add the models, or load the demo models.".to_owned(),
        Missing::Recipe => "Choose a merge method, an example, or a recipe of your own.".to_owned(),
        Missing::Errors(1) => "Mend the error in the recipe.".to_owned(),
        Missing::Errors(number) => format!("Mend the {number} errors in the recipe."),
        Missing::Unbound(names) => format!("Say which model is {}: choose it in the recipe, or add it.", listed(names)),
        Missing::Unread(names) => format!("{} can't be used yet: see Models.", listed(names)),
    }
}

/// What a person should know before a merge.
pub fn plan_notice(notice: &PlanNotice) -> String {
    match notice {
        PlanNotice::TokenizersDiffer { input, count, first } => format!(
            "The tokenizer of {input} differs from the base's: the same token ids mean different things, and the result may speak \
             nonsense.{}",
            differences(*count, first)
        ),
        PlanNotice::Vocabulary(notice) => format!("{notice}."),
        PlanNotice::Missing { tensor, inputs } => {
            format!("{tensor} is missing from {}: it is made from the others.", listed(inputs))
        }
        PlanNotice::InStage { stage, notice } => format!("In {stage}: {}", plan_notice(notice)),
        PlanNotice::NoConfig { input } => {
            format!("{input} has no config.json, so the result has none. Loaders will want one: add the folder.")
        }
        PlanNotice::NoTokenizer { input } => format!("{input} has no tokenizer, so the result has none."),
    }
}

/// The first few ids that mean different things.
fn differences(count: u64, first: &[TokenDifference]) -> String {
    if first.is_empty() {
        return String::new();
    }
    let token =
        |token: &Option<String>| token.as_ref().map_or_else(|| "nothing".to_owned(), |token| format!("“{token}”"));
    let named = first.iter().map(|one| format!("{} is {} and not {}", one.id, token(&one.input), token(&one.donor)));
    format!(" There, {} ({count} differ in all).", named.collect::<Vec<_>>().join(", "))
}

/// Why a tensor is copied.
pub fn copied(reason: CopyReason) -> &'static str {
    match reason {
        CopyReason::NotFloat => "copied: whole numbers, the same in every model",
        CopyReason::OnlyOne => "copied: only one model has it",
        CopyReason::OnlyBase => "copied: too few models beside the base have it",
        CopyReason::Untouched => "copied as it is",
        CopyReason::OutsideModules => "copied: it is in none of the recipe's modules",
    }
}

/// Why a tensor is left out.
pub fn left_out(reason: LeftOutReason) -> &'static str {
    match reason {
        LeftOutReason::Tied => "tied to the embeddings, which stand for it",
        LeftOutReason::NotInSlices => "in no slice",
    }
}

/// How many tensors are left out for a reason.
pub fn left_out_count(number: u64, reason: LeftOutReason) -> String {
    format!("{} {}", count(number, "tensor is", "tensors are"), left_out(reason))
}

/// Rows of a model's vocabulary before they were aligned.
pub fn had_rows(model: &str, rows: u64) -> String {
    format!("{model} has {}", numbers::grouped(rows))
}

/// The end of a list that is cut.
pub fn and_more(number: u64) -> String {
    format!("and {} more; merge-studio.json in the result names them all", numbers::grouped(number))
}

/// What a merge met on its way.
pub fn run_notice(notice: &RunNotice) -> String {
    match notice {
        RunNotice::GpuAbsent(why) => format!("{} The CPU merged.", machine::no_gpu(why)),
        RunNotice::GpuDeclined { tensor, why } => format!("{tensor} was made on the CPU: {why}."),
        RunNotice::GpuLost { tensor, why } => {
            format!("The GPU was lost at {tensor} ({why}). The CPU did the rest.")
        }
        RunNotice::Files(notice) => format!("{notice}."),
        RunNotice::InMemory(why) => {
            format!("The result is kept in memory, and must fit there: {}", machine::no_disk(why))
        }
    }
}

/// Why a merge stopped, and what to do.
pub fn merge_error(error: &MergeError) -> String {
    match error {
        MergeError::StalePlan => "Models or recipe changed just before the merge began. Press Merge again.".to_owned(),
        MergeError::NoSpace { short } => {
            let short = short.map_or_else(String::new, self::short);
            format!(
                "The browser gives no more room for the result.{short} Free disk space or close other private windows, then merge again; a smaller dtype needs less."
            )
        }
        MergeError::Write { file, why } => format!("{file} could not be written: {why}. Nothing half-written is left."),
        MergeError::SmallFiles { file, why } => {
            format!("{file} could not be made: {why}. Your models and recipe are still here.")
        }
        MergeError::Files(error) => format!("The files beside the weights can't be made: {error}."),
        MergeError::Run(error) => format!("The merge stopped: {error}. Your models and recipe are still here."),
        MergeError::WorkerDied(why) => {
            format!("A worker ran out of memory or died ({why}). Close other tabs, or run on the CPU, and merge again.")
        }
    }
}

/// How much room is short: a sentence that follows another one.
pub fn short(bytes: u64) -> String {
    format!(" {} ({} bytes) are short.", numbers::bytes(bytes), numbers::grouped(bytes))
}

/// What is merged before the output, and what room it takes.
pub fn stages(plan: &Plan) -> String {
    let names: Vec<String> = plan.stages.iter().map(|stage| stage.name.clone()).collect();
    let kept = numbers::bytes(plan.kept_at_most());
    format!("{} before: {} ({kept} kept meanwhile)", count(names.len() as u64, "stage", "stages"), names.join(", "))
}

/// Which of them is being made.
pub fn stage(stage: &StageAt) -> String {
    format!("Stage {} of {}: {}", stage.number, stage.of, stage.name)
}

/// How many tensors each backend made.
pub fn made_by(gpu: usize, cpu: usize, copied: usize) -> String {
    let part = |number: usize, name: &str| (number > 0).then(|| format!("{} {name}", numbers::grouped(number as u64)));
    let parts = [part(gpu, backend(BackendKind::Gpu)), part(cpu, backend(BackendKind::Cpu)), part(copied, "copied")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// A backend's name.
pub fn backend(kind: BackendKind) -> &'static str {
    match kind {
        BackendKind::Cpu => "CPU",
        BackendKind::Gpu => "WebGPU",
    }
}

/// Bytes a second.
pub fn rate(bytes_a_second: f64) -> String {
    format!("{}/s", numbers::bytes(bytes_a_second as u64))
}

/// Time left.
pub fn left(seconds: f64) -> String {
    format!("{} left", numbers::left(seconds))
}

/// Part of the whole.
pub fn of(done: &str, total: &str) -> String {
    format!("{done} of {total}")
}

/// Status.
pub fn finished(seconds: f64) -> String {
    format!("The merge is finished after {}.", numbers::seconds(seconds))
}

/// The status of a failed merge, short: the details stand below.
pub const FAILED: &str = "The merge stopped.";

/// The verdict on a result that a link promised.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "The result is the one that the link promised, byte for byte.",
        Verdict::Different => {
            "The result differs from the one that the link promised. Compare the models' fingerprints with the link's."
        }
    }
}

/// Save progress.
pub fn saving(done: u64, total: u64) -> String {
    format!("Saving: {} of {}", numbers::bytes(done), numbers::bytes(total))
}

/// After it.
pub const SAVED: &str = "Saved.";

/// Why a result could not be saved; nothing to say where the person changed their mind.
pub fn save_error(error: &SaveError) -> Option<String> {
    match error {
        SaveError::Dismissed => None,
        SaveError::Failed { file, why } => {
            Some(format!("{file} could not be saved: {why}. Choose another folder, or download the zip."))
        }
    }
}

/// The ledger's page.
pub fn shown(first: usize, last: usize, all: usize) -> String {
    format!("{}–{} of {}", numbers::grouped(first as u64), numbers::grouped(last as u64), numbers::grouped(all as u64))
}

/// A fault of ours.
pub fn crashed(message: &str) -> String {
    format!(
        "A worker died of a fault in Merge Studio and was replaced ({message}). Models stay open; merge again, and please report it."
    )
}

/// Notices that are folded away.
pub fn more_notices(number: u64) -> String {
    count(number, "more notice", "more notices")
}

/// Parameters that every model has alike.
pub fn each(parameters: &str) -> String {
    format!("each: {parameters}")
}
