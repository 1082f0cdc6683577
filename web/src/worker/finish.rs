//! What a merge leaves: the output folder's files as Blobs, their checksums, and the line of those still to hash.

use std::collections::VecDeque;

use js_sys::{Array, Uint8Array};
use merge_studio::format::Source;
use merge_studio::model::Folder;
use merge_studio::output::{self, Content, SmallFile};
use merge_studio::plan::Plan;
use merge_studio_crc32::crc32;
use wasm_bindgen::JsValue;
use web_sys::Blob;

use super::merge::Merge;
use crate::io::WebFile;
use crate::protocol::{Event, MergeError, ResultFile};
use crate::wire::words;

/// A small file of the output, made before the merge: the models it is copied from may be closed meanwhile.
pub(super) struct SmallBlob {
    file: ResultFile,
    blob: Blob,
    /// What it is a copy of, until that was read.
    unread: Option<WebFile>,
}

impl SmallBlob {
    /// Its name and its bytes.
    pub(super) fn into_parts(self) -> (String, Blob) {
        (self.file.name, self.blob)
    }
}

/// Reads what the small files are copies of, for their checksums. While tensors are made: these files are megabytes.
pub(super) fn read_copies(small: &mut [SmallBlob]) -> Result<(), MergeError> {
    for SmallBlob { file, unread, .. } in small {
        if let Some(source) = unread.take() {
            let mut bytes = vec![0; source.len() as usize];
            source.read_now(0, &mut bytes).map_err(|error| broken(&file.name, error.to_string()))?;
            file.crc32 = crc32(&bytes);
        }
    }
    Ok(())
}

fn broken(name: &str, why: String) -> MergeError {
    MergeError::SmallFiles { file: name.to_owned(), why }
}

/// Makes the small files.
pub(super) fn small_blobs(
    files: Vec<SmallFile>,
    plan: &Plan,
    folders: &[Folder<WebFile>],
) -> Result<Vec<SmallBlob>, MergeError> {
    let made = files.into_iter().map(|SmallFile { name, content }| match content {
        Content::Bytes(bytes) => {
            let blob = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes.as_slice())))
                .map_err(|error| broken(&name, words(&error)))?;
            let file = ResultFile { name, len: bytes.len() as u64, crc32: crc32(&bytes) };
            Ok(SmallBlob { file, blob, unread: None })
        }
        Content::CopyOf { input, file } => {
            let folder = plan.inputs.get(input).and_then(|input| folders.get(input.model));
            let source = folder
                .and_then(|folder| folder.files.get(&file))
                .ok_or_else(|| broken(&name, "the model was removed".to_owned()))?;
            let (blob, unread) = (source.blob().clone(), Some(source.clone()));
            Ok(SmallBlob { file: ResultFile { name, len: source.len(), crc32: 0 }, blob, unread })
        }
    });
    made.collect()
}

/// A finished result.
pub(super) struct Finished {
    merge: u32,
    files: Vec<(ResultFile, Blob)>,
    weights: usize,
    cpu_only: bool,
    to_hash: VecDeque<usize>,
    hashes: Vec<Hash>,
}

/// How far the hash of a file is.
#[derive(Clone, PartialEq)]
enum Hash {
    Waiting,
    Done(String),
    /// The file could not be read back.
    Failed,
}

impl Finished {
    /// The weights of `merge` and the files beside them.
    pub(super) fn new(merge: &Merge, weights: Vec<Blob>, small: Vec<SmallBlob>) -> Self {
        let mut files: Vec<(ResultFile, Blob)> = merge
            .plan
            .files
            .iter()
            .zip(merge.crcs())
            .zip(weights)
            .map(|((file, crc32), blob)| (ResultFile { name: file.name.clone(), len: file.len, crc32 }, blob))
            .collect();
        let weights = files.len();
        files.extend(small.into_iter().map(|small| (small.file, small.blob)));
        Self {
            merge: merge.number,
            weights,
            cpu_only: merge.cpu_only(),
            to_hash: (0..files.len()).collect(),
            hashes: vec![Hash::Waiting; files.len()],
            files,
        }
    }

    /// The files, weights first.
    pub(super) fn files(&self) -> Vec<ResultFile> {
        self.files.iter().map(|(file, _)| file.clone()).collect()
    }

    /// What holds their bytes, in the same order.
    pub(super) fn blobs(&self) -> JsValue {
        self.files.iter().map(|(_, blob)| blob).collect::<Array>().into()
    }

    /// The next file to hash: the merge's number, the file's, its bytes.
    pub(super) fn next(&mut self) -> Option<(u32, usize, Blob)> {
        let file = self.to_hash.pop_front()?;
        Some((self.merge, file, self.files[file].1.clone()))
    }

    /// Puts a file back in line.
    pub(super) fn again(&mut self, file: usize) {
        self.to_hash.push_front(file);
    }

    /// Takes a hash in: what to tell the page.
    pub(super) fn hashed(&mut self, merge: u32, file: usize, sha256: Option<String>) -> Vec<Event> {
        if merge != self.merge || file >= self.files.len() {
            return Vec::new();
        }
        let mut events = Vec::new();
        if let Some(sha256) = &sha256 {
            events.push(Event::Hashed { name: self.files[file].0.name.clone(), sha256: sha256.clone() });
        }
        self.hashes[file] = sha256.map_or(Hash::Failed, Hash::Done);
        if !self.hashes.contains(&Hash::Waiting) {
            events.push(Event::AllHashed { output: self.output_hash() });
        }
        events
    }

    /// What a link carries of this result; only the CPU's bytes are the same everywhere.
    fn output_hash(&self) -> Option<String> {
        if !self.cpu_only {
            return None;
        }
        let weights = self.files.iter().zip(&self.hashes).take(self.weights);
        let hashed: Option<Vec<(&str, &str)>> = weights
            .map(|((file, _), hash)| match hash {
                Hash::Done(sha256) => Some((file.name.as_str(), sha256.as_str())),
                Hash::Waiting | Hash::Failed => None,
            })
            .collect();
        output::output_hash(hashed?)
    }
}
