//! The merges before the output's: each into a hidden folder beside it, from which later ones read until none needs it.

use std::fs;

use anyhow::Context as _;

use super::MergeArgs;
use super::failure::warn;
use super::merge::{Prepared, write_small, write_weights};
use super::models;
use super::publish::Scratch;
use super::workers::Tally;

/// Makes the stages and adds their folders to the opened ones, in the plans' order. `scratch` holds them.
pub(super) fn make(
    args: &MergeArgs,
    prepared: &mut Prepared,
    scratch: &Scratch,
    to_compare: bool,
) -> anyhow::Result<Tally> {
    let stages = std::mem::take(&mut prepared.stages);
    let (first, count) = (prepared.opened.folders.len(), stages.len());
    let mut tally = Tally::default();
    for (number, stage) in stages.iter().enumerate() {
        let inputs: Vec<&str> = stage.plan.inputs.iter().map(|input| input.name.as_str()).collect();
        eprintln!("Stage {} of {count}: {}, {} of {}", number + 1, stage.name, stage.plan.method, inputs.join(", "));
        let folder = scratch.folder().join(number.to_string());
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let made = write_weights(args, &stage.plan, &prepared.opened, &folder, to_compare);
        let (_, made) = made.with_context(|| format!("stage {}", stage.name))?;
        tally.join(made);
        for notice in &stage.small.notices {
            warn(format!("{}: {notice}", stage.name));
        }
        write_small(&stage.small.files, &stage.plan, &prepared.opened, &folder)?;
        prepared.opened.folders.push(models::list(&folder)?);
        for (done, _) in prepared.plan.stages.iter().enumerate().filter(|(_, done)| done.until == number) {
            // Its files are closed first.
            prepared.opened.folders[first + done].files.clear();
            fs::remove_dir_all(scratch.folder().join(done.to_string()))?;
        }
    }
    if count > 0 {
        eprintln!("Output: {}", prepared.plan.method);
    }
    Ok(tally)
}
