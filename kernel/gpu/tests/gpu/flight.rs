//! Several windows in flight: results come in order and none is lost, whatever ends a pass.

use std::cell::RefCell;

use merge_studio_gpu::Gpu;
use merge_studio_kernel::cpu::Cpu;
use merge_studio_kernel::{
    BLOCK, Backend, BackendError, Combine, Digit, Float, Frame, Generation, Histogram, Mask, Mix, Pass, Precision,
    Query, Raw, Score, Space, Window,
};
use pollster::block_on;

use crate::Body;
use crate::case::{Numbers, encode};

pub const TESTS: &[(&str, Body)] = &[
    ("windows_are_sent_before_earlier_ones_are_back_and_come_back_in_order", in_order),
    ("a_value_that_is_refused_ends_the_pass_and_nothing_of_its_window_comes_out", refused_midway),
    ("a_pass_that_its_host_ends_leaves_nothing_behind", ended_by_the_host),
    ("a_device_that_is_lost_with_windows_under_way_ends_the_pass", lost_midway),
];

const FRAME: Frame<'_> = Frame { precision: Precision::F32, space: Space::Inputs, row: 1, scales: &[] };
const LEN: usize = 2 * BLOCK;
const WINDOWS: usize = 7;

/// Windows of one input, and what happens in a pass over them.
struct Tape {
    bytes: Vec<u8>,
    generation: Generation,
    next: usize,
    /// The pass fails where this window is asked for.
    fails_at: usize,
    /// Loses the device where this window is asked for.
    breaks_at: Option<(usize, Box<dyn Fn()>)>,
    /// How many windows were asked for and not yet back, whenever some came back.
    ahead: RefCell<Vec<usize>>,
    values: Vec<u8>,
}

impl Tape {
    /// With NaN in a window, where one is named.
    fn new(spoiled: Option<usize>) -> Self {
        let mut numbers = Numbers(3);
        let spoiled = spoiled.map(|window| window * LEN + 5);
        let mut value = |at: usize| {
            let value = numbers.signed() + 1.5;
            if Some(at) == spoiled { f64::NAN } else { value }
        };
        let bytes = encode(Float::BF16, &(0..WINDOWS * LEN).map(&mut value).collect::<Vec<_>>());
        let (generation, ahead) = (Generation::fresh(), RefCell::default());
        Self { bytes, generation, next: 0, fails_at: usize::MAX, breaks_at: None, ahead, values: Vec::new() }
    }
}

impl Pass for Tape {
    type Error = BackendError;

    async fn next(&mut self) -> Result<bool, BackendError> {
        if self.next == self.fails_at {
            return Err(BackendError::Lost("the host says so".to_owned()));
        }
        if let Some((_, loses)) = self.breaks_at.as_ref().filter(|(window, _)| *window == self.next) {
            loses();
        }
        self.next += 1;
        Ok(self.next <= WINDOWS)
    }

    fn see<T>(&self, see: impl FnOnce(Window<'_>) -> T) -> T {
        let first = (self.next - 1) * LEN;
        let inputs = [Raw { dtype: Float::BF16, bytes: &self.bytes[first * 2..(first + LEN) * 2] }];
        see(Window { generation: self.generation, ..Window::new(first as u64, LEN, &inputs) })
    }

    fn put(&mut self, mut values: Vec<u8>) {
        let back = self.values.len() / (LEN * 4);
        self.ahead.borrow_mut().push(self.next.min(WINDOWS) - back);
        self.values.append(&mut values);
    }
}

fn mix() -> Mix {
    Mix { masks: vec![Mask::All], combine: Combine::Sum { coefficients: vec![0.3] }, out: Float::F32 }
}

/// What the CPU makes of all windows.
fn expected() -> Vec<u8> {
    let mut tape = Tape::new(None);
    block_on(Cpu::default().mix(&FRAME, &mix(), &mut tape)).unwrap();
    assert_eq!(*tape.ahead.borrow(), [1; WINDOWS]);
    tape.values
}

fn in_order(gpu: &mut Gpu) {
    let mut tape = Tape::new(None);
    block_on(gpu.mix(&FRAME, &mix(), &mut tape)).unwrap();
    assert!(tape.values == expected());
    // Two are still under way when a third is sent.
    assert_eq!(*tape.ahead.borrow(), [3, 3, 3, 3, 3, 2, 1]);
}

fn refused_midway(gpu: &mut Gpu) {
    const SPOILED: usize = 2;
    let mut tape = Tape::new(Some(SPOILED));
    assert_eq!(block_on(gpu.mix(&FRAME, &mix(), &mut tape)), Err(BackendError::UnsafeValues));
    assert!(tape.values == expected()[..SPOILED * LEN * 4], "what came out are the windows before it");
    assert!(tape.next < WINDOWS, "the rest is not read");
    let query = Query { term: 0, score: Score::Magnitude, digit: Digit { shift: 20, bits: 11, prefix: 0 } };
    // In the last window of all, too, which nothing follows.
    for spoiled in [SPOILED, WINDOWS - 1] {
        let mut found = [Histogram { counts: vec![7; 1 << 11], ..Histogram::new(query.digit) }];
        let outcome = block_on(gpu.histogram(&FRAME, &[query], &mut Tape::new(Some(spoiled)), &mut found));
        assert_eq!(outcome, Err(BackendError::UnsafeValues));
        assert!(found[0].counts.iter().all(|&count| count == 7) && found[0].exact.iter().all(|&count| count == 0));
    }
    in_order(gpu);
}

fn ended_by_the_host(gpu: &mut Gpu) {
    for fails_at in [0, 1, 2, WINDOWS] {
        let mut tape = Tape { fails_at, ..Tape::new(None) };
        let outcome = block_on(gpu.mix(&FRAME, &mix(), &mut tape));
        assert_eq!(outcome, Err(BackendError::Lost("the host says so".to_owned())));
        assert!(expected().starts_with(&tape.values));
    }
    in_order(gpu);
}

fn lost_midway(_: &mut Gpu) {
    // Before the first, with one and with two under way, and when all were sent.
    for window in [0, 1, 2, WINDOWS] {
        let mut gpu = block_on(Gpu::open()).unwrap();
        let mut tape = Tape { breaks_at: Some((window, Box::new(gpu.breaker()))), ..Tape::new(None) };
        let outcome = block_on(gpu.mix(&FRAME, &mix(), &mut tape));
        assert!(matches!(outcome, Err(BackendError::Lost(_))), "window {window}: {outcome:?}");
        assert!(expected().starts_with(&tape.values) && tape.values.len() < expected().len(), "window {window}");
        let again = block_on(gpu.mix(&FRAME, &mix(), &mut Tape::new(None)));
        assert!(matches!(again, Err(BackendError::Lost(_))), "window {window}: {again:?}");
    }
}
