//! The inputs that lie on the device, so that every pass over a tensor finds there what the first one sent.
//!
//! They are of one generation at a time: what was cut from other bytes is given up when the first of the next comes, and its buffers
//! are used again. Where a tensor does not fit, its first windows stay and the others take turns in the last place.

use super::device::Data;
use super::pool::{create, room};
use merge_studio_kernel::Generation;

pub(super) struct Held {
    /// The most that all buffers have together, in bytes; one stretch of inputs may be as large.
    most: u64,
    generation: Option<Generation>,
    /// First element, length and buffer of what is there, in the order in which it came.
    stretches: Vec<(u64, usize, wgpu::Buffer)>,
    free: Vec<wgpu::Buffer>,
}

impl Held {
    pub(super) fn new(most: u64) -> Self {
        Self { most, generation: None, stretches: Vec::new(), free: Vec::new() }
    }

    /// The buffer for these inputs, and whether they still have to be written to it.
    pub(super) fn place(&mut self, device: &wgpu::Device, data: &Data<'_>) -> (wgpu::Buffer, bool) {
        if self.generation != Some(data.generation) {
            self.generation = Some(data.generation);
            self.free.extend(self.stretches.drain(..).map(|(.., buffer)| buffer));
        }
        let there = self.stretches.iter().find(|(first, len, _)| (*first, *len) == (data.first, data.len));
        if let Some((.., buffer)) = there {
            return (buffer.clone(), false);
        }
        let buffer = self.room_for(device, data.bytes);
        self.stretches.push((data.first, data.len, buffer.clone()));
        (buffer, true)
    }

    /// A buffer of `bytes` bytes or somewhat more: one that is free, else a new one if there is room for it, else room is made.
    fn room_for(&mut self, device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
        let size = room(bytes);
        loop {
            if let Some(at) = self.free.iter().position(|buffer| (bytes..=2 * size).contains(&buffer.size())) {
                return self.free.swap_remove(at);
            }
            let all = self.stretches.iter().map(|(.., buffer)| buffer).chain(&self.free);
            if all.map(wgpu::Buffer::size).sum::<u64>() + size <= self.most {
                break;
            }
            match self.free.pop() {
                Some(other) => other.destroy(),
                None => match self.stretches.pop() {
                    Some((.., last)) => self.free.push(last),
                    None => break,
                },
            }
        }
        create(device, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST, size)
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self) {
        self.generation = None;
        self.free.extend(self.stretches.drain(..).map(|(.., buffer)| buffer));
        self.free.drain(..).for_each(|buffer| buffer.destroy());
    }
}
