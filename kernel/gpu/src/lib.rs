//! The WebGPU backend, through wgpu. Nothing outside this package names wgpu, and it is a package of its own so that it is
//! compiled for size: only the shaders need to be fast.
//!
//! A pass cuts its windows into chunks that fit WebGPU's default limits (one a window, as a rule), uploads the files' bytes as they
//! are, unless they lie on the device already, and runs one submission a chunk. Three chunks are in flight at a time, but for the
//! hunts for ties, where what is asked of a chunk depends on the one before. The shaders decode, form terms, mask and combine by the
//! rules of [the vocabulary](merge_studio_kernel), in the CPU's order; only results come back.
//!
//! **Memory.** Inputs that stay on the device take 128 MiB at most, all together. Beside them lie the results of one chunk, what is
//! looked up for it, and three buffers to fetch results with: of a window of a million elements, 4 MiB each. No binding is larger
//! than 128 MiB.
//!
//! **What agrees with the CPU, and how far.** Masks, coins, counts, ties and elected signs: exactly. Merged values: to the
//! bit, except that results below the smallest normal number of F32 or BF16 may be zero. Gram matrices and norms are summed
//! in pairs of f32 (48 bits) within a block of 1,024 (by rows: within a row; by columns: over a strip of rows) and in f64 from
//! there on, where the CPU has 53 bits: what is made of them and rounded to f32 is the same but for one time in millions.
//!
//! **What it declines.** 64-bit types and arithmetic, rows or columns beyond 2³⁰, and what no method asks for: two lookups in one
//! mix, NearSwap of task vectors ([`BackendError::Unsupported`]). Inputs or terms that are NaN, infinite, from 2⁵⁸ on, or below
//! 2⁻⁸⁰ (2⁻⁶⁰ where they are multiplied, 2⁻³⁸ for deviations from a mean) but not zero, scaled scores and scales below the
//! smallest normal number but not zero, and coefficients outside 2⁻²⁰ … 2⁴⁰: there, what a GPU flushes, overflows or assumes
//! away could be seen ([`BackendError::UnsafeValues`]). A measure that fails leaves its totals as they were.

mod answer;
mod device;
mod held;
mod layout;
mod pool;
mod probe;
mod shaders;
mod window;
mod work;

pub use layout::WORKGROUP;
pub use shaders::Kernel;

use std::collections::VecDeque;

use device::{Device, Pending};
use merge_studio_kernel::{
    Backend, BackendError, BackendKind, Float, Frame, GpuCounters, Gram, Histogram, Mask, Mix, Norms, Overlap, Pass,
    Power, Query, TieHunt,
};
use work::{Part, Work};

/// WebGPU's default limit of one storage buffer binding.
const BINDING: u64 = 128 << 20;

/// Why there is no GPU to compute with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// The system, or the browser, offers none.
    #[error("there is no GPU")]
    NoAdapter,
    /// There is one, and it cannot be used: its own words.
    #[error("the GPU cannot be used: {0}")]
    NoDevice(String),
    /// It computes something else than it should.
    #[error("the GPU does not compute {what} as it should")]
    ProbeFailed {
        /// What it got wrong.
        what: &'static str,
    },
}

/// How a [`Gpu`] is opened.
pub struct GpuOptions {
    /// The source of each kernel's shader: [`Kernel::wgsl`]. Tests put in faults.
    pub wgsl: Box<dyn Fn(Kernel) -> String>,
    /// Bytes that one buffer binding may hold, at most WebGPU's default of 128 MiB. Tests make it small.
    pub binding: u64,
    /// Bytes of inputs that may stay on the device from pass to pass, 128 MiB unless tests make it small.
    pub held: u64,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self { wgsl: Box::new(Kernel::wgsl), binding: BINDING, held: BINDING }
    }
}

/// A GPU that has shown that it computes as it should.
pub struct Gpu {
    device: Device,
    binding: u64,
}

impl Gpu {
    /// Opens the GPU that the system recommends for heavy work, and probes it.
    pub async fn open() -> Result<Self, GpuError> {
        Self::open_with(&GpuOptions::default()).await
    }

    /// The same, in another way than usual.
    pub async fn open_with(options: &GpuOptions) -> Result<Self, GpuError> {
        let device = Device::open(&options.wgsl, options.held).await?;
        let mut gpu = Self { device, binding: BINDING };
        probe::probe(&mut gpu).await?;
        gpu.binding = options.binding.min(BINDING);
        gpu.device.counters = GpuCounters::default();
        Ok(gpu)
    }

    /// The adapter's name, as the driver gives it; browsers often give none.
    pub fn name(&self) -> String {
        self.device.name.clone()
    }

    /// What was done since the probe.
    pub fn counters(&self) -> GpuCounters {
        self.device.counters
    }

    /// Gives the memory back that is kept from call to call: for a host that has no more work for now.
    pub fn rest(&mut self) {
        self.device.rest();
    }

    /// Loses the device when it is called, in the middle of a pass, too, as a crashed driver would: everything from then on ends in
    /// [`BackendError::Lost`].
    pub fn breaker(&self) -> impl Fn() + use<> {
        self.device.breaker()
    }
}

impl Gpu {
    /// Sends a pass's windows as a mix does, and fetches as many values of type `out`, whatever they are, without computing anything: what
    /// a merge on this device is put beside.
    pub async fn copy<P: Pass>(&mut self, out: Float, pass: &mut P) -> Result<(), P::Error> {
        self.work(pass, &mut work::Copied { out }).await
    }

    /// Does the work of a pass: sends every part of every window, and takes the results in the same order, a few parts later.
    async fn work<P: Pass>(&mut self, pass: &mut P, work: &mut dyn Work) -> Result<(), P::Error> {
        // Dropped with all that is pending where anything fails: nothing outlives the pass.
        let mut flight: VecDeque<(Part, Pending)> = VecDeque::new();
        let mut counted = false;
        while !work.is_over() && pass.next().await? {
            for part in pass.see(|window| work.parts(&window, self.binding))? {
                let pending = pass.see(|window| match work.call(&window, &part)? {
                    Some(call) => self.device.submit(&call).map(Some),
                    None => Ok(None),
                })?;
                if let Some(pending) = pending {
                    self.device.counters.passes += u64::from(!counted);
                    counted = true;
                    flight.push_back((part, pending));
                }
                if flight.len() >= work.most_in_flight() {
                    self.land(&mut flight, work).await?.into_iter().for_each(|values| pass.put(values));
                }
            }
        }
        while !flight.is_empty() {
            self.land(&mut flight, work).await?.into_iter().for_each(|values| pass.put(values));
        }
        Ok(())
    }

    /// Waits for the part that was sent first; gives the values that it merged. Knows no pass, so that it is compiled once for all.
    async fn land(
        &mut self,
        flight: &mut VecDeque<(Part, Pending)>,
        work: &mut dyn Work,
    ) -> Result<Option<Vec<u8>>, BackendError> {
        match flight.pop_front() {
            Some((part, pending)) => self.device.land(pending, |results| work.take(&part, results)).await,
            None => Ok(None),
        }
    }
}

impl Backend for Gpu {
    fn kind(&self) -> BackendKind {
        BackendKind::Gpu
    }

    async fn gram<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, into: &mut Gram) -> Result<(), P::Error> {
        let mut work = work::Grams::new(frame, into);
        self.work(pass, &mut work).await?;
        into.sums = work.sums;
        Ok(())
    }

    async fn norms<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        power: Power,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Norms],
    ) -> Result<(), P::Error> {
        let mut work = work::Normed { frame, power, masks, norms: into.to_vec() };
        self.work(pass, &mut work).await?;
        into.copy_from_slice(&work.norms);
        Ok(())
    }

    async fn overlap<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        masks: &[Mask],
        pass: &mut P,
        into: &mut [Overlap],
    ) -> Result<(), P::Error> {
        let mut work = work::Overlaps { frame, masks, counts: into.to_vec() };
        self.work(pass, &mut work).await?;
        into.copy_from_slice(&work.counts);
        Ok(())
    }

    async fn histogram<P: Pass>(
        &mut self,
        frame: &Frame<'_>,
        queries: &[Query],
        pass: &mut P,
        into: &mut [Histogram],
    ) -> Result<(), P::Error> {
        let mut work = work::Digits::new(frame, queries)?;
        self.work(pass, &mut work).await?;
        work.add_to(into);
        Ok(())
    }

    async fn ties<P: Pass>(&mut self, frame: &Frame<'_>, pass: &mut P, hunts: &mut [TieHunt]) -> Result<(), P::Error> {
        let mut work = work::Hunts { frame, hunts: hunts.to_vec() };
        self.work(pass, &mut work).await?;
        hunts.copy_from_slice(&work.hunts);
        Ok(())
    }

    async fn mix<P: Pass>(&mut self, frame: &Frame<'_>, mix: &Mix, pass: &mut P) -> Result<(), P::Error> {
        self.work(pass, &mut work::Mixed { frame, mix }).await
    }
}
