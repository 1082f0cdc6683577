//! The fixed merge is what it says, its bytes are fixed, and figures are made of seconds as they say.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use merge_studio_crc32::crc32;
use pollster::block_on;

use super::*;
use crate::format::{ReadError, Source};
use crate::kernel::{BackendError, BackendKind, GpuCounters};
use crate::plan::Rule;
use crate::run::{self, Bench, JobReport, Limits, Sink, WriteError};

/// Bytes of a layer.
const LAYER: u64 = (MATRIX[0] + 1) * MATRIX[1] * 2;

/// An output's bytes without its header.
#[derive(Default)]
struct Written(Mutex<Vec<u8>>);

impl Sink for &Written {
    async fn write(&mut self, _: usize, offset: u64, bytes: Vec<u8>) -> Result<(), WriteError> {
        let (mut file, at) = (self.0.lock().unwrap(), offset as usize);
        let end = at + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[at..end].copy_from_slice(&bytes);
        Ok(())
    }
}

/// CRC-32 of what a task makes of models of two layers, with so many workers.
fn made(task: usize, workers: usize) -> u32 {
    let plan = plan(task, 2).unwrap();
    let (sources, batches) = (sources(&plan, &models()), run::batches(&plan, workers));
    let (written, next) = (Written::default(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut bench = Bench::default();
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for &job in batch {
                        let (limits, mut sink) = (Limits::default(), &written);
                        block_on(run::job(&plan, job, &sources, &mut bench, &limits, &mut sink, &mut |_| {})).unwrap();
                    }
                }
            });
        }
    });
    crc32(&written.0.into_inner().unwrap()[plan.files[0].header.len()..])
}

#[test]
fn every_task_plans_all_tensors_of_a_base_and_near_fine_tunes() {
    for (task, inputs) in [3, 3, 2, 3, 3].into_iter().enumerate() {
        let plan = plan(task, LAYERS).unwrap();
        assert_eq!(plan.method, if TASKS[task] == COPY { "ties" } else { TASKS[task] });
        assert_eq!((plan.inputs.len(), plan.jobs.len()), (inputs, 2 * LAYERS as usize));
        assert!(plan.jobs.iter().all(|job| matches!(job.rule, Rule::Merge(_)) && job.sources.len() == inputs));
        assert_eq!(plan.jobs.iter().map(|job| job.len).sum::<u64>(), 67_174_400);
        assert_eq!(sources(&plan, &models()).iter().map(Vec::len).sum::<usize>(), inputs);
    }
}

#[test]
fn the_bytes_are_fixed_with_one_worker_and_with_three() {
    let made = |workers| [1, 2, 3, 4].map(|task| made(task, workers));
    assert_eq!([made(1), made(3)], [[4_014_999_537, 2_417_176_756, 24_055_231, 2_313_568_071]; 2]);
}

#[test]
fn the_fine_tunes_are_near() {
    let [base, one, _] = models().map(|model| {
        let mut bytes = vec![0; 1 << 20];
        block_on(model.read(0, &mut bytes)).unwrap();
        bytes
    });
    let beside = Beside::of(&one, &base);
    let moved = beside.differ as f64 / beside.elements as f64;
    assert!((0.7..0.8).contains(&moved), "{moved} moved");
}

#[test]
fn made_up_weights_come_again() {
    let [model, ..] = models();
    let read = |offset: u64, len: usize| {
        let mut bytes = vec![0; len];
        block_on(model.read(offset, &mut bytes)).unwrap();
        bytes
    };
    let stretch = LAYER - 2 * MATRIX[1];
    assert_eq!(read(stretch - 10, 30), [read(stretch - 10, 10), read(0, 20)].concat());
    assert_eq!(read(3 * stretch + 2, 1 << 23)[..1 << 10], read(2, 1 << 10));
}

/// Notes what is read of it.
struct Noting<'a>(Made, &'a RefCell<Vec<(u64, usize)>>);

impl Source for Noting<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.1.borrow_mut().push((offset, into.len()));
        self.0.read(offset, into).await
    }
}

#[test]
fn a_copy_reads_every_byte_of_every_source_once() {
    let plan = plan(0, 1).unwrap();
    let read = RefCell::new(Vec::new());
    let sources: Vec<_> = sources(&plan, &models())
        .into_iter()
        .map(|files| files.into_iter().map(|file| Noting(file, &read)).collect::<Vec<_>>())
        .collect();
    for (job, expected) in plan.jobs.iter().enumerate() {
        block_on(copy(&plan, job, &sources, &mut Bench::default(), 1 << 19)).unwrap();
        let all = vec![(expected.sources[0].offset, expected.len as usize); 3];
        assert_eq!(read.take(), all, "{}", expected.name);
    }
}

#[test]
fn the_first_round_does_not_count_and_the_median_of_the_others_does() {
    let mut timed = Timed::new(1, 1).unwrap();
    let report = JobReport { gpu: GpuCounters { submissions: 3, ..GpuCounters::default() }, ..JobReport::default() };
    assert!(timed.is_cold());
    assert_eq!(
        [BackendKind::Cpu, BackendKind::Gpu].map(|backend| Timed::new(1, LAYERS).unwrap().tensors(backend)),
        [32, 8]
    );
    for seconds in [9.0, 0.1, 0.3, 0.1, 0.3] {
        timed.made(&report, None).unwrap();
        assert_eq!(timed.round(seconds), None);
        assert!(!timed.is_cold());
    }
    timed.made(&JobReport { declined: Some(BackendError::UnsafeValues), ..report.clone() }, None).unwrap();
    let figure = timed.round(0.2).unwrap();
    assert_eq!((figure.rate, figure.output), (4.0 * LAYER as f64 / 0.2, LAYER));
    assert_eq!((figure.submissions, figure.declined), (3, 1));
    let lost = JobReport { declined: Some(BackendError::OutOfMemory), ..report };
    assert_eq!(timed.made(&lost, None), Err(BackendError::OutOfMemory));
}

#[test]
fn a_slow_device_runs_fewer_rounds() {
    let mut timed = Timed::new(2, 1).unwrap();
    assert_eq!(timed.round(30.0), None);
    assert_eq!(timed.round(0.6), None);
    assert_eq!(timed.round(0.5).map(|figure| figure.rate), Some(3.0 * LAYER as f64 / 0.6));
}

#[test]
fn outputs_are_compared_by_units_in_the_last_place() {
    let bytes = |numbers: [u16; 4]| numbers.map(u16::to_le_bytes).concat();
    let one = bytes([0x3f80, 0x8001, 0x0000, 0xc000]);
    assert_eq!(Beside::of(&one, &one), Beside { elements: 4, differ: 0, most: 0 });
    // A step up; across zero; the other zero, which is no step and other bytes all the same.
    let other = bytes([0x3f81, 0x0002, 0x8000, 0xc000]);
    assert_eq!(Beside::of(&other, &one), Beside { elements: 4, differ: 3, most: 3 });
}

#[test]
fn a_table_puts_every_task_beside_the_copy() {
    let figure = |rate: f64| Figure { rate, output: 100, ..Figure::default() };
    let cpu = Row { figures: vec![figure(8e9), figure(2e9)], ..Row::cpu(2) };
    let gpu = Row {
        figures: vec![
            figure(1e9),
            Figure {
                crossed: (301, 100),
                submissions: 4,
                beside: Some(Beside { elements: 50, differ: 2, most: 1 }),
                declined: 1,
                ..figure(8e7)
            },
        ],
        failed: Some("the GPU ran out of memory".into()),
        ..Row::gpu("lavapipe")
    };
    assert_eq!((cpu.next(), gpu.next()), (Some(2), None));
    let text = markdown(&table(&[cpu, gpu]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "| task | CPU · 2 workers | GPU · lavapipe |",
            "| --- | --- | --- |",
            "| copy | 8.00 GB/s | 1.00 GB/s |",
            "| linear | 2.00 GB/s; 25 % of the copy | 0.080 GB/s; 8.0 % of the copy; 2 of 50 elements differ, by 1 ulp at most; \
             ↑ 3.01 ↓ 1.00, 4 submissions; made on the CPU: 1 tensors |",
            "| slerp | – | the GPU ran out of memory |",
        ]
    );
}
