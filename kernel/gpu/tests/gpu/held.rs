//! Inputs that stay on the device: sent once, and never taken for others.

use merge_studio_gpu::{Gpu, GpuOptions};
use merge_studio_kernel::cpu::Cpu;
use merge_studio_kernel::{
    BLOCK, Backend, BackendError, Combine, Float, Frame, Generation, Mask, Mix, Precision, Raw, Space, Window,
};
use pollster::block_on;

use crate::Body;
use crate::case::{Numbers, encode};

pub const TESTS: &[(&str, Body)] = &[
    ("inputs_that_lie_on_the_device_are_not_sent_again", sent_once),
    ("inputs_of_another_generation_are_never_taken_for_those_on_the_device", other_bytes),
    ("windows_of_one_generation_that_are_cut_otherwise_are_sent", other_cuts),
    ("where_not_all_windows_fit_the_first_ones_stay", little_room),
    ("a_gpu_that_rested_is_sent_everything_again", rested),
    ("after_a_refusal_what_lies_on_the_device_is_still_right", refused),
];

/// Elements of a window, and bytes of its one input.
const LEN: usize = 2 * BLOCK;
const BYTES: u64 = LEN as u64 * 2;

fn numbers(seed: u64, len: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    encode(Float::BF16, &(0..len).map(|_| numbers.signed() + 1.5).collect::<Vec<_>>())
}

/// Mixes a window as the CPU does; gives the bytes of inputs that went up for it, in whole inputs.
fn mix(gpu: &mut Gpu, generation: Generation, first: usize, bytes: &[u8]) -> u64 {
    let inputs = [Raw { dtype: Float::BF16, bytes }];
    let window = Window { generation, ..Window::new(first as u64, bytes.len() / 2, &inputs) };
    let frame = Frame::new(Precision::F32, Space::Inputs);
    let mix = Mix { masks: vec![Mask::All], combine: Combine::Sum { coefficients: vec![0.3] }, out: Float::F32 };
    let before = gpu.counters().bytes_up;
    let ours = block_on(gpu.mix_window(&frame, &mix, window)).unwrap();
    let cpus = block_on(Cpu::default().mix_window(&frame, &mix, window)).unwrap();
    assert!(ours == cpus, "the window at {first}");
    (gpu.counters().bytes_up - before) / BYTES
}

fn sent_once(gpu: &mut Gpu) {
    let (generation, bytes) = (Generation::fresh(), numbers(1, LEN));
    assert_eq!([(); 3].map(|()| mix(gpu, generation, 0, &bytes)), [1, 0, 0]);
}

fn rested(gpu: &mut Gpu) {
    let (generation, bytes) = (Generation::fresh(), numbers(7, LEN));
    assert_eq!(mix(gpu, generation, 0, &bytes), 1);
    gpu.rest();
    assert_eq!([(); 2].map(|()| mix(gpu, generation, 0, &bytes)), [1, 0]);
}

fn other_bytes(gpu: &mut Gpu) {
    let generation = Generation::fresh();
    for seed in [1, 2] {
        assert_eq!(mix(gpu, Generation::fresh(), 0, &numbers(seed, LEN)), 1);
    }
    // What was there before another generation came is not there any more: its buffer may have been used.
    for (generation, seed) in [(generation, 3), (Generation::fresh(), 4), (generation, 3)] {
        assert_eq!(mix(gpu, generation, 0, &numbers(seed, LEN)), 1);
    }
}

fn other_cuts(gpu: &mut Gpu) {
    let (generation, bytes) = (Generation::fresh(), numbers(5, 3 * LEN));
    assert_eq!(mix(gpu, generation, 0, &bytes), 3);
    let window = |number: usize| &bytes[number * LEN * 2..(number + 1) * LEN * 2];
    for sent in [1, 0] {
        assert_eq!([0, 1, 2].map(|number| mix(gpu, generation, number * LEN, window(number))), [sent; 3]);
    }
    assert_eq!(mix(gpu, generation, 0, &bytes), 0);
}

fn little_room(_: &mut Gpu) {
    let mut gpu = block_on(Gpu::open_with(&GpuOptions { held: 3 * BYTES, ..GpuOptions::default() })).unwrap();
    let (generation, bytes) = (Generation::fresh(), numbers(6, 5 * LEN));
    let mut pass = || [0, 1, 2, 3, 4].map(|at| mix(&mut gpu, generation, at * LEN, &bytes[at * LEN * 2..][..LEN * 2]));
    assert_eq!(pass(), [1; 5]);
    assert_eq!(pass(), [0, 0, 1, 1, 1]);
    assert_eq!(pass(), [0, 0, 1, 1, 1]);
    // One that is larger than all of the room gets it to itself.
    assert_eq!(mix(&mut gpu, generation, 0, &bytes), 5);
    assert_eq!(mix(&mut gpu, generation, 0, &bytes[..LEN * 2]), 1);
}

fn refused(gpu: &mut Gpu) {
    let (generation, good) = (Generation::fresh(), numbers(7, LEN));
    let mut bad = numbers(8, LEN);
    bad[..2].copy_from_slice(&encode(Float::BF16, &[f64::NAN]));
    assert_eq!(mix(gpu, generation, 0, &good), 1);
    let inputs = [Raw { dtype: Float::BF16, bytes: &bad }];
    let window = Window { generation, ..Window::new(LEN as u64, LEN, &inputs) };
    let frame = Frame::new(Precision::F32, Space::Inputs);
    let all = Mix { masks: vec![Mask::All], combine: Combine::Sum { coefficients: vec![0.3] }, out: Float::F32 };
    for _ in 0..2 {
        let outcome = block_on(gpu.mix_window(&frame, &all, window));
        assert_eq!(outcome, Err(BackendError::UnsafeValues));
    }
    assert_eq!(mix(gpu, generation, 0, &good), 0);
    assert_eq!(mix(gpu, Generation::fresh(), LEN, &good), 1);
}
