//! Words about where merging runs and where results are kept.

use crate::protocol::{GpuState, NoDisk, NoGpu, RunOn, Storage};

/// What the chip shows.
pub fn chip(gpu: &GpuState, cpu_workers: u32, run_on: RunOn) -> String {
    match (gpu, run_on) {
        (GpuState::Ready { adapter }, RunOn::Auto | RunOn::WebGpu) if adapter.trim().is_empty() => {
            "WebGPU · unnamed adapter".to_owned()
        }
        (GpuState::Ready { adapter }, RunOn::Auto | RunOn::WebGpu) => format!("WebGPU · {adapter}"),
        (GpuState::Probing, RunOn::Auto | RunOn::WebGpu) => "Looking for WebGPU…".to_owned(),
        _ if cpu_workers == 0 => "CPU".to_owned(),
        _ => format!("CPU · {}", super::count(cpu_workers.into(), "worker", "workers")),
    }
}

/// Why the chip shows that.
pub fn why(gpu: &GpuState, run_on: RunOn) -> String {
    match (gpu, run_on) {
        (_, RunOn::Cpu) => "You chose the CPU. Its results are the same to the byte on every machine.".to_owned(),
        (GpuState::Ready { .. }, _) => {
            "This browser's WebGPU passed the start-up check. Tensors that it may treat differently are merged on the CPU.".to_owned()
        }
        (GpuState::Probing, _) => "The GPU is being checked against the CPU.".to_owned(),
        (GpuState::Absent(why), _) => format!("{} The CPU merges.", no_gpu(why)),
    }
}

/// Why there is no WebGPU.
pub fn no_gpu(why: &NoGpu) -> String {
    match why {
        NoGpu::InsecureContext => {
            "WebGPU needs https or this same machine, and the page came over plain http.".to_owned()
        }
        NoGpu::Unsupported => "This browser has no WebGPU.".to_owned(),
        NoGpu::NoAdapter => "This browser has WebGPU, but the system offers it no GPU.".to_owned(),
        NoGpu::NoDevice(why) => format!("The GPU can't be used: {why}."),
        NoGpu::ProbeFailed(what) => format!("The GPU computes differently from the CPU, so it is not trusted: {what}."),
        NoGpu::OutOfMemory => "The GPU ran out of memory during a merge.".to_owned(),
        NoGpu::Lost(why) => format!("The GPU was lost during a merge: {why}."),
    }
}

/// Where results are kept.
pub fn storage(storage: &Storage) -> String {
    match storage {
        Storage::Disk => "Results are written to the browser's private disk space until you save them.".to_owned(),
        Storage::Memory(why) => format!("Results are kept in memory: {}", no_disk(why)),
    }
}

/// Why results are kept in memory.
pub fn no_disk(why: &NoDisk) -> String {
    match why {
        NoDisk::InsecureContext => {
            "the page came over plain http, where browsers give no private disk space.".to_owned()
        }
        NoDisk::Unsupported => "this browser has no private disk space that a worker can write.".to_owned(),
        NoDisk::Denied(why) => format!("the browser refused its private disk space ({why})."),
    }
}
