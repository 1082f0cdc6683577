//! Tensors that are copied byte by byte: integers, and what only one input has.

use super::{Progress, RunError, Sink, Task};
use crate::format::Source;

/// Bytes of one read.
const PIECE: u64 = 1 << 20;

/// Copies the first source and checks that all others hold the same bytes.
pub(super) async fn copy<S: Source, K: Sink>(
    task: &mut Task<'_, S>,
    sink: &mut K,
    watch: &mut impl FnMut(Progress),
) -> Result<(), RunError> {
    let plan = task.plan;
    let job = &plan.jobs[task.index];
    let total = job.sources.iter().map(|source| source.len).sum();
    let mut done = 0;
    let mut at = 0;
    while at < job.len {
        let len = PIECE.min(job.len - at) as usize;
        let mut first: Option<Vec<u8>> = None;
        for source in &job.sources {
            let mut bytes = vec![0; len];
            task.read(source, at, &mut bytes).await?;
            done += len as u64;
            watch(Progress { job: task.index, done, total });
            match &first {
                None => first = Some(bytes),
                Some(first) if *first == bytes => {}
                Some(_) => {
                    return Err(RunError::IntegersDiffer {
                        tensor: job.name.clone(),
                        first: plan.inputs[job.sources[0].input].name.clone(),
                        second: plan.inputs[source.input].name.clone(),
                    });
                }
            }
        }
        task.write(sink, at, first.unwrap_or_default()).await?;
        at += len as u64;
    }
    Ok(())
}
