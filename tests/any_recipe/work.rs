//! Runs a plan with some number of workers, keeps count of what they write, and compares what came out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use merge_studio::format::Header;
use merge_studio::plan::Plan;
use merge_studio::run::{self, Bench, JobReport, Limits, Sink, WriteError};
use merge_studio_crc32::crc32;
use safetensors::SafeTensors;

use crate::world::Opened;

/// What a run left.
pub struct Made {
    files: Vec<Vec<u8>>,
    reports: Vec<(usize, JobReport)>,
    /// File, first byte and the one after the last of every write.
    writes: Vec<(usize, u64, u64)>,
}

/// A fault to be found: what is done to the bytes of a write.
pub type Fault = fn(&mut [u8]);

struct Shared<'a> {
    made: &'a Mutex<Made>,
    fault: Option<Fault>,
}

impl Sink for Shared<'_> {
    async fn write(&mut self, file: usize, offset: u64, mut bytes: Vec<u8>) -> Result<(), WriteError> {
        if let Some(fault) = self.fault {
            fault(&mut bytes);
        }
        let mut made = self.made.lock().unwrap();
        made.files[file][offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        made.writes.push((file, offset, offset + bytes.len() as u64));
        Ok(())
    }
}

/// Runs `plan` on `workers` threads, which take jobs in the order of [`run::batches`]: one by one, since what is this small is one batch.
pub fn run(plan: &Plan, opened: &Opened, limits: Limits, workers: usize, fault: Option<Fault>) -> Result<Made, String> {
    let sources: Vec<Vec<&Vec<u8>>> = plan
        .inputs
        .iter()
        .map(|input| opened.folders[input.model].weight_sources(&opened.models[input.model]))
        .collect();
    let mut files: Vec<Vec<u8>> = plan.files.iter().map(|file| vec![0; file.len as usize]).collect();
    for (bytes, file) in files.iter_mut().zip(&plan.files) {
        bytes[..file.header.len()].copy_from_slice(&file.header);
    }
    let made = Mutex::new(Made { files, reports: Vec::new(), writes: Vec::new() });
    let jobs: Vec<usize> = run::batches(plan, 2).into_iter().flatten().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut bench, mut sink) = (Bench::default(), Shared { made: &made, fault });
        while let Some(&job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut watch = |_| ();
            let report = run::job(plan, job, &sources, &mut bench, &limits, &mut sink, &mut watch);
            let report = pollster::block_on(report).map_err(|error| format!("{}: {error}", plan.jobs[job].name))?;
            made.lock().unwrap().reports.push((job, report));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let own: Result<(), String> = work();
        others.into_iter().map(|other| other.join().unwrap()).fold(own, Result::and)
    })?;
    Ok(made.into_inner().unwrap())
}

/// Whether all jobs ran once, wrote every byte of their tensors once and reported its checksum, and the files are readable.
pub fn sound(plan: &Plan, made: &Made) -> Result<(), String> {
    let mut ran: Vec<usize> = made.reports.iter().map(|(job, _)| *job).collect();
    ran.sort_unstable();
    if !ran.iter().copied().eq(0..plan.jobs.len()) {
        return Err(format!("not every job ran once: {ran:?}"));
    }
    let mut writes = made.writes.clone();
    writes.sort_unstable();
    let mut ends: Vec<u64> = plan.files.iter().map(|file| file.header.len() as u64).collect();
    for (file, start, end) in writes {
        if start != ends[file] {
            return Err(format!("a hole or an overlap at {start} of file {file}, after {}", ends[file]));
        }
        ends[file] = end;
    }
    for (number, (file, bytes)) in plan.files.iter().zip(&made.files).enumerate() {
        if ends[number] != file.len {
            return Err(format!("{} ends at {} of {}", file.name, ends[number], file.len));
        }
        Header::parse(&file.header[8..], file.len).map_err(|error| format!("{}: {error}", file.name))?;
        SafeTensors::deserialize(bytes).map_err(|error| format!("{}: {error}", file.name))?;
    }
    for (job, report) in &made.reports {
        let job = &plan.jobs[*job];
        let mut at = job.offset;
        for crc in &report.crcs {
            let bytes = &made.files[job.file][crc.offset as usize..(crc.offset + crc.len) as usize];
            if crc.offset != at || crc32(bytes) != crc.crc32 {
                return Err(format!("{}: the checksum of {}..{} is wrong", job.name, crc.offset, crc.offset + crc.len));
            }
            at += crc.len;
        }
        if at != job.offset + job.len || report.written != job.len {
            return Err(format!("{}: the checksums are of {} bytes of {}", job.name, at - job.offset, job.len));
        }
    }
    Ok(())
}

/// Whether two runs left the same bytes; if not, the first that differs.
pub fn same(plan: &Plan, made: &Made, other: &Made) -> Result<(), String> {
    for job in &plan.jobs {
        let range = job.offset as usize..(job.offset + job.len) as usize;
        let (one, two) = (&made.files[job.file][range.clone()], &other.files[job.file][range]);
        if let Some(byte) = one.iter().zip(two).position(|(one, two)| one != two) {
            let element = byte as u64 / job.dtype.size();
            return Err(format!("{}: element {element} differs ({:?} of {:?})", job.name, job.dtype, job.shape));
        }
    }
    if made.files == other.files { Ok(()) } else { Err("the files differ beside the tensors".to_owned()) }
}
