//! Where every output tensor's bytes go: files, offsets and headers, known before the first weight is read.

use std::collections::BTreeMap;

use super::{Job, OutputFile};
use crate::format::{Entry, Header, in_order};

/// Assigns files and offsets to `jobs` and returns them with the files and their headers.
///
/// Jobs are ordered by element size, largest first (so that every tensor is aligned to its elements), and otherwise keep their
/// order. A file takes tensors until the next one would exceed `shard_size`; one tensor is never cut.
pub(super) fn assign(
    jobs: Vec<Job>,
    shard_size: u64,
    metadata: &BTreeMap<String, String>,
) -> (Vec<Job>, Vec<OutputFile>) {
    let mut jobs = in_order(jobs, |job| u64::MAX - job.dtype.size());
    let mut lens: Vec<u64> = vec![0];
    for job in &mut jobs {
        let current = lens[lens.len() - 1];
        if current > 0 && current + job.len > shard_size {
            lens.push(0);
        }
        job.file = lens.len() - 1;
        job.offset = lens[job.file];
        lens[job.file] += job.len;
    }
    let mut metadata = metadata.clone();
    metadata.insert("format".to_owned(), "pt".to_owned());
    let count = lens.len();
    let mut files = Vec::with_capacity(count);
    for (number, &data) in lens.iter().enumerate() {
        let tensors = jobs
            .iter()
            .filter(|job| job.file == number)
            .map(|job| Entry {
                name: job.name.clone(),
                dtype: job.dtype,
                shape: job.shape.clone(),
                start: job.offset,
                end: job.offset + job.len,
            })
            .collect();
        let header = Header { tensors, metadata: metadata.clone(), data_start: 0 }.to_bytes();
        let name = if count == 1 {
            "model.safetensors".to_owned()
        } else {
            format!("model-{:05}-of-{count:05}.safetensors", number + 1)
        };
        files.push(OutputFile { name, len: header.len() as u64 + data, header });
    }
    for job in &mut jobs {
        job.offset += files[job.file].header.len() as u64;
    }
    (jobs, files)
}
