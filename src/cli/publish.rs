//! The output, a folder or a file: written beside its place under another name, and renamed when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use merge_studio::output::LEDGER_FILE;

/// A folder that is being written. Dropped before it was published, it is removed.
pub(super) struct Draft {
    out: PathBuf,
    folder: PathBuf,
    published: bool,
}

impl Draft {
    /// Makes the temporary folder beside `out`, once it is clear that `out` may be made or replaced.
    pub(super) fn new(out: &Path, force: bool, inputs: &[PathBuf]) -> anyhow::Result<Self> {
        may_replace(out, force, inputs)?;
        let name = out.file_name().ok_or_else(|| anyhow!("{} is no folder's name", out.display()))?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        let folder = beside(parent, name, "part");
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { out: out.to_owned(), folder, published: false })
    }

    /// Where the files go until then.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives the folder its name. What was there before goes away only after the new one stands in its place.
    pub(super) fn publish(mut self) -> io::Result<()> {
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        let old = beside(parent, self.out.file_name().unwrap_or_default(), "old");
        let replaced = self.out.exists();
        if replaced {
            fs::rename(&self.out, &old)?;
        }
        if let Err(error) = fs::rename(&self.folder, &self.out) {
            if replaced {
                fs::rename(&old, &self.out)?;
            }
            return Err(error);
        }
        self.published = true;
        if replaced { fs::remove_dir_all(&old) } else { Ok(()) }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            super::failure::warn(format!("{} could not be removed: {error}", self.folder.display()));
        }
    }
}

/// A hidden folder beside the output for what is of use until it is made. Dropped, it is removed.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it beside `out`, whose draft is there already.
    pub(super) fn new(out: &Path) -> anyhow::Result<Self> {
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = beside(parent, out.file_name().unwrap_or_default(), "stages");
        fs::create_dir(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            super::failure::warn(format!("{} could not be removed: {error}", self.0.display()));
        }
    }
}

/// A file that is being written. Dropped before it was published, it is removed.
pub(super) struct FileDraft {
    out: PathBuf,
    folder: PathBuf,
    name: String,
    published: bool,
}

impl FileDraft {
    /// Finds the temporary name beside `out`, once it is clear that `out` may be made or replaced. Nothing is made yet but folders.
    pub(super) fn new(out: &Path, force: bool, inputs: &[PathBuf]) -> anyhow::Result<Self> {
        let name = out.file_name().ok_or_else(|| anyhow!("{} is no file's name", out.display()))?;
        if out.is_dir() {
            bail!("{} is a folder; name a file to make", out.display());
        }
        if out.try_exists().with_context(|| out.display().to_string())? {
            let place = fs::canonicalize(out)?;
            if inputs.iter().any(|input| fs::canonicalize(input).is_ok_and(|input| input == place)) {
                bail!("{} is one of the model's own files; name another", out.display());
            }
            if !force {
                bail!("{} is already there; name another file, or replace it with --force", out.display());
            }
        }
        let folder = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let hidden = beside(folder, name, "part");
        let name = hidden.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { out: out.to_owned(), folder: folder.to_owned(), name, published: false })
    }

    /// Where the file is until then.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is called until then.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives the file its name, in place of the one that was there before.
    pub(super) fn publish(mut self) -> io::Result<()> {
        fs::rename(self.folder.join(&self.name), &self.out)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for FileDraft {
    fn drop(&mut self) {
        let file = self.folder.join(&self.name);
        if !self.published
            && file.exists()
            && let Err(error) = fs::remove_file(&file)
        {
            super::failure::warn(format!("{} could not be removed: {error}", file.display()));
        }
    }
}

/// `.NAME.KIND-PID`: hidden, on the same disk, of this process alone.
fn beside(parent: &Path, name: &std::ffi::OsStr, kind: &str) -> PathBuf {
    parent.join(format!(".{}.{kind}-{}", name.to_string_lossy(), std::process::id()))
}

fn may_replace(out: &Path, force: bool, inputs: &[PathBuf]) -> anyhow::Result<()> {
    if !out.try_exists().with_context(|| out.display().to_string())? {
        return Ok(());
    }
    if !out.is_dir() {
        bail!("{} is a file; name a folder to make", out.display());
    }
    let place = fs::canonicalize(out)?;
    if let Some(input) =
        inputs.iter().find(|input| fs::canonicalize(input).is_ok_and(|input| input.starts_with(&place)))
    {
        bail!("{} holds an input of this merge, {}; name another folder", out.display(), input.display());
    }
    let empty = fs::read_dir(out)?.next().is_none();
    if empty || force || out.join(LEDGER_FILE).is_file() {
        return Ok(());
    }
    bail!(
        "{} is not empty and was not made by merge-studio (it has no {LEDGER_FILE}); name another folder, or replace it with --force",
        out.display()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_draft_shows_only_once_it_is_published() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("deep/out");
        let draft = Draft::new(&out, false, &[]).unwrap();
        fs::write(draft.folder().join("a"), "1").unwrap();
        assert!(!out.exists());
        draft.publish().unwrap();
        assert_eq!(names(&parent.path().join("deep")), ["out"]);
        assert_eq!(names(&out), ["a"]);
    }

    #[test]
    fn a_dropped_draft_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let draft = Draft::new(&parent.path().join("out"), false, &[]).unwrap();
        fs::write(draft.folder().join("a"), "1").unwrap();
        drop(draft);
        assert!(names(parent.path()).is_empty());
    }

    #[test]
    fn only_our_own_folders_are_replaced_unless_forced() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("out");
        fs::create_dir(&out).unwrap();
        Draft::new(&out, false, &[]).unwrap().publish().unwrap();

        fs::write(out.join("thesis.txt"), "").unwrap();
        assert!(Draft::new(&out, false, &[]).is_err());
        drop(Draft::new(&out, true, &[]).unwrap());
        assert_eq!(names(&out), ["thesis.txt"]);

        fs::write(out.join(LEDGER_FILE), "{}").unwrap();
        Draft::new(&out, false, &[]).unwrap().publish().unwrap();
        assert!(names(&out).is_empty());
        assert_eq!(names(parent.path()), ["out"]);
    }

    #[test]
    fn a_file_shows_only_once_it_is_whole_and_replaces_another_only_if_forced() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("m.gguf");
        let write = |draft: &FileDraft, text: &str| fs::write(draft.folder().join(draft.name()), text).unwrap();
        let draft = FileDraft::new(&out, false, &[]).unwrap();
        write(&draft, "1");
        assert!(!out.exists());
        drop(draft);
        assert!(names(parent.path()).is_empty());

        let draft = FileDraft::new(&out, false, &[]).unwrap();
        write(&draft, "1");
        draft.publish().unwrap();
        assert!(FileDraft::new(&out, false, &[]).is_err());
        assert!(FileDraft::new(&out, true, std::slice::from_ref(&out)).is_err());
        assert!(FileDraft::new(parent.path(), true, &[]).is_err());
        let draft = FileDraft::new(&out, true, &[]).unwrap();
        write(&draft, "2");
        draft.publish().unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), "2");
        assert_eq!(names(parent.path()), ["m.gguf"]);
    }

    #[test]
    fn an_input_is_never_replaced_by_the_output() {
        let parent = tempfile::tempdir().unwrap();
        let input = parent.path().join("models/a");
        fs::create_dir_all(&input).unwrap();
        for out in [input.clone(), parent.path().join("models")] {
            assert!(Draft::new(&out, true, std::slice::from_ref(&input)).is_err());
        }
        assert!(Draft::new(&parent.path().join("file"), true, &[input]).is_ok());
    }
}
