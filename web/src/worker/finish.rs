//! What a merge leaves: the output folder's files as Blobs, their checksums, and the line of those still to hash.

use std::collections::VecDeque;

use js_sys::{Array, Uint8Array};
use merge_studio::format::Source;
use merge_studio::model::Folder;
use merge_studio::output::{Content, SmallFile};
use merge_studio::plan::Plan;
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;
use web_sys::Blob;

use super::hash::hex;
use super::merge::Merge;
use crate::io::WebFile;
use crate::protocol::{Event, MergeError, ResultFile};
use crate::wire::words;

/// A small file of the output, made before the merge: the models it is copied from may be closed meanwhile.
pub(super) struct SmallBlob {
    file: ResultFile,
    blob: Blob,
}

/// Makes the small files.
pub(super) fn small_blobs(
    files: Vec<SmallFile>,
    plan: &Plan,
    folders: &[Folder<WebFile>],
) -> Result<Vec<SmallBlob>, MergeError> {
    let broken = |name: &str, why: String| MergeError::SmallFiles { file: name.to_owned(), why };
    let made = files.into_iter().map(|SmallFile { name, content }| {
        let (bytes, copied) = match content {
            Content::Bytes(bytes) => (bytes, None),
            Content::CopyOf { input, file } => {
                let folder = plan.inputs.get(input).and_then(|input| folders.get(input.model));
                let source = folder
                    .and_then(|folder| folder.files.get(&file))
                    .ok_or_else(|| broken(&name, "the model was removed".to_owned()))?;
                let mut bytes = vec![0; source.len() as usize];
                source.read_now(0, &mut bytes).map_err(|error| broken(&name, error.to_string()))?;
                (bytes, Some(source.blob().clone()))
            }
        };
        let blob = match copied {
            Some(blob) => blob,
            None => Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes.as_slice())))
                .map_err(|error| broken(&name, words(&error)))?,
        };
        let file = ResultFile { name, len: bytes.len() as u64, crc32: crc32fast::hash(&bytes) };
        Ok(SmallBlob { file, blob })
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
    hashes: Vec<Option<Option<String>>>,
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
            hashes: vec![None; files.len()],
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
        self.hashes[file] = Some(sha256);
        if self.hashes.iter().all(Option::is_some) {
            events.push(Event::AllHashed { output: self.output_hash() });
        }
        events
    }

    /// The hash of the weights: a lone file's own, else that of their hexadecimal hashes in order.
    fn output_hash(&self) -> Option<String> {
        if !self.cpu_only {
            return None;
        }
        let hashes: Option<Vec<&String>> =
            self.hashes[..self.weights].iter().map(|hash| hash.as_ref()?.as_ref()).collect();
        match hashes?.as_slice() {
            [only] => Some((*only).clone()),
            many => {
                let mut whole = Sha256::new();
                for hash in many {
                    whole.update(hash.as_bytes());
                }
                Some(hex(&whole.finalize()))
            }
        }
    }
}
