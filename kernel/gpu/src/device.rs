//! The device: opened with WebGPU's default limits, its failures caught, one submission a call, several calls in
//! flight.
//!
//! It runs kernels on bytes and knows nothing of windows. Nothing here blocks in a browser; natively, a device makes
//! progress only when polled, so there the host waits where a call lands.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::GpuError;
use super::answer::{Answer, answer};
use super::held::Held;
use super::layout::{Head, Words};
use super::pool::{Pool, Role};
use super::shaders::Kernel;
use merge_studio_kernel::{BackendError, Generation, GpuCounters};

/// Why the device cannot be used any more, once it cannot.
type Loss = Arc<Mutex<Option<String>>>;

pub(super) struct Device {
    inner: wgpu::Device,
    queue: wgpu::Queue,
    layout: wgpu::BindGroupLayout,
    pipelines: Vec<wgpu::ComputePipeline>,
    held: Held,
    pool: Pool,
    loss: Loss,
    pub(super) name: String,
    pub(super) counters: GpuCounters,
}

/// The inputs of a stretch of a tensor, as they lie on the device.
pub(super) struct Data<'a> {
    /// Which bytes they are part of, and which part: the first element, and how many.
    pub(super) generation: Generation,
    pub(super) first: u64,
    pub(super) len: usize,
    /// The bytes of each, and where they go; they are padded to whole quads.
    pub(super) pieces: Vec<(u64, &'a [u8])>,
    /// Length of all of them, padding included.
    pub(super) bytes: u64,
}

/// One call: what is sent, what is run, how much comes back.
pub(super) struct Call<'a> {
    /// Sent unless it is there: see [`super::held`].
    pub(super) data: Data<'a>,
    pub(super) head: Head,
    pub(super) sources: Vec<u32>,
    pub(super) rows: Vec<u32>,
    /// Scales, coefficients of groups, or what was drawn.
    pub(super) extra: Vec<u32>,
    /// Kernels and their workgroups.
    pub(super) dispatches: Vec<(Kernel, [u32; 2])>,
    /// Bytes of results on the device, zero at the start if `clear`.
    pub(super) results: u64,
    pub(super) clear: bool,
    /// Bytes of results that come back, from the first on.
    pub(super) read: u64,
}

/// What one kind of error said, or none.
type ErrorScope = Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>;

/// A call that was sent. Dropped, it leaves nothing behind: its readback is not used again.
pub(super) struct Pending {
    submission: wgpu::SubmissionIndex,
    readback: wgpu::Buffer,
    /// Bytes of results in it.
    read: u64,
    mapped: Answer<Result<(), wgpu::BufferAsyncError>>,
    errors: [ErrorScope; 2],
}

impl Device {
    /// `held`: bytes of inputs that stay from call to call.
    pub(super) async fn open(wgsl: &dyn Fn(Kernel) -> String, held: u64) -> Result<Self, GpuError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await.map_err(|_| GpuError::NoAdapter)?;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor { label: Some("merge-studio"), ..Default::default() })
            .await
            .map_err(|error| GpuError::NoDevice(error.to_string()))?;
        let loss = Loss::default();
        let lost = Arc::clone(&loss);
        device.set_device_lost_callback(move |_, message| remember(&lost, message));
        let uncaptured = Arc::clone(&loss);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| remember(&uncaptured, error.to_string())));

        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let (layout, pipelines) = build(&device, wgsl);
        let errors = (internal.pop(), scope.pop());
        if let Some(error) = errors.0.await.or(errors.1.await) {
            return Err(GpuError::NoDevice(error.to_string()));
        }
        Ok(Self {
            inner: device,
            queue,
            layout,
            pipelines,
            held: Held::new(held),
            pool: Pool::default(),
            loss,
            name: adapter.get_info().name,
            counters: GpuCounters::default(),
        })
    }

    /// Loses the device when it is called.
    pub(super) fn breaker(&self) -> impl Fn() + use<> {
        let device = self.inner.clone();
        move || device.destroy()
    }

    /// Gives all memory back.
    pub(super) fn rest(&mut self) {
        self.held.clear();
        self.pool.clear();
    }

    /// Sends a call. After [`BackendError::Lost`] every call ends so.
    pub(super) fn submit(&mut self, call: &Call<'_>) -> Result<Pending, BackendError> {
        if let Some(message) = self.lost() {
            return Err(BackendError::Lost(message));
        }
        let memory = self.inner.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.inner.push_error_scope(wgpu::ErrorFilter::Validation);
        let (readback, submission) = self.send(call);
        let (sender, mapped) = answer();
        readback.map_async(wgpu::MapMode::Read, ..call.read + 4, move |outcome| sender.send(outcome));
        let errors: [ErrorScope; 2] = [Box::pin(validation.pop()), Box::pin(memory.pop())];
        Ok(Pending { submission, readback, read: call.read, mapped, errors })
    }

    /// Waits for a call and shows `read` the bytes that came back.
    pub(super) async fn land<T>(&mut self, pending: Pending, read: impl FnOnce(&[u8]) -> T) -> Result<T, BackendError> {
        let result = self.try_land(pending, read).await;
        match &result {
            Err(BackendError::OutOfMemory) => self.rest(),
            Err(BackendError::Lost(message)) => {
                remember(&self.loss, message.clone());
                return Err(BackendError::Lost(self.lost().unwrap_or_default()));
            }
            _ => {}
        }
        result
    }

    async fn try_land<T>(&mut self, pending: Pending, read: impl FnOnce(&[u8]) -> T) -> Result<T, BackendError> {
        let Pending { submission, readback, read: len, mapped, errors } = pending;
        // A browser delivers by itself, and this does nothing there.
        let polled = self.inner.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
        for error in errors {
            match error.await {
                None => {}
                Some(wgpu::Error::OutOfMemory { .. }) => return Err(BackendError::OutOfMemory),
                Some(error) => return Err(BackendError::Lost(error.to_string())),
            }
        }
        if cfg!(not(target_arch = "wasm32")) && mapped.is_pending() {
            let why = polled.err().map_or_else(|| "it does not answer".to_owned(), |error| error.to_string());
            return Err(BackendError::Lost(why));
        }
        mapped.await.map_err(|error| BackendError::Lost(error.to_string()))?;
        let result = {
            let view = readback.get_mapped_range(..len + 4).map_err(|error| BackendError::Lost(error.to_string()))?;
            self.counters.readbacks += 1;
            self.counters.bytes_down += len + 4;
            let (results, refused) = view.split_at(len as usize);
            if refused.iter().any(|&byte| byte != 0) { Err(BackendError::UnsafeValues) } else { Ok(read(results)) }
        };
        readback.unmap();
        self.pool.put(Role::Readback, readback);
        result
    }

    /// Uploads, dispatches and submits; gives the buffer that the results, and the refusal after them, end up in. All that the call
    /// shares with those before it (its buffers, but for that one) it uses after them: the queue keeps the order.
    fn send(&mut self, call: &Call<'_>) -> (wgpu::Buffer, wgpu::SubmissionIndex) {
        let mut head = Vec::new();
        call.head.put(&mut head);
        let sizes = [
            (Role::Head, head.len() as u64 * 4),
            (Role::Sources, call.sources.len() as u64 * 4),
            (Role::Rows, call.rows.len() as u64 * 4),
            (Role::Extra, call.extra.len().max(1) as u64 * 4),
            (Role::Refused, 4),
            (Role::Results, call.results),
        ];
        let buffers = sizes.map(|(role, bytes)| self.pool.take(&self.inner, role, bytes));
        let [head_buffer, sources, rows, extra, refused, results] = &buffers;
        let (data, is_new) = self.held.place(&self.inner, &call.data);
        if is_new {
            for (offset, bytes) in &call.data.pieces {
                self.upload(&data, *offset, bytes);
            }
        }
        self.upload(head_buffer, 0, bytemuck::cast_slice(&head));
        self.upload(sources, 0, bytemuck::cast_slice(&call.sources));
        self.upload(rows, 0, bytemuck::cast_slice(&call.rows));
        self.upload(extra, 0, bytemuck::cast_slice(&call.extra));

        let entries: Vec<_> = (0..)
            .zip([(&data, call.data.bytes)].into_iter().chain(buffers.iter().zip(sizes.map(|(_, bytes)| bytes))))
            .map(|(binding, (buffer, bytes))| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: std::num::NonZeroU64::new(bytes),
                }),
            })
            .collect();
        let bindings = self.inner.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.layout,
            entries: &entries,
        });
        let readback = self.pool.take(&self.inner, Role::Readback, call.read + 4);
        let mut encoder = self.inner.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.clear_buffer(refused, 0, None);
        if call.clear {
            encoder.clear_buffer(results, 0, Some(call.results));
        }
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_bind_group(0, &bindings, &[]);
            for (kernel, workgroups) in &call.dispatches {
                pass.set_pipeline(&self.pipelines[*kernel as usize]);
                pass.dispatch_workgroups(workgroups[0], workgroups[1], 1);
                self.counters.dispatches += 1;
            }
        }
        encoder.copy_buffer_to_buffer(results, 0, &readback, 0, call.read);
        encoder.copy_buffer_to_buffer(refused, 0, &readback, call.read, 4);
        let submission = self.queue.submit([encoder.finish()]);
        self.counters.submissions += 1;
        for ((role, _), buffer) in sizes.into_iter().zip(buffers) {
            self.pool.put(role, buffer);
        }
        (readback, submission)
    }

    /// Writes bytes, and zeros after them up to a whole quad of any type.
    fn upload(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        let (whole, tail) = bytes.split_at(bytes.len() / QUAD * QUAD);
        self.queue.write_buffer(buffer, offset, whole);
        if !tail.is_empty() {
            let mut padded = [0; QUAD];
            padded[..tail.len()].copy_from_slice(tail);
            self.queue.write_buffer(buffer, offset + whole.len() as u64, &padded);
        }
        self.counters.bytes_up += bytes.len() as u64;
    }

    fn lost(&self) -> Option<String> {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Bytes of the widest quad. Every input starts at a multiple of it, and is padded to one.
pub(super) const QUAD: usize = 16;

/// The first reason stays.
fn remember(loss: &Loss, message: String) {
    loss.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}

/// One layout for all kernels: bindings 0 to 4 are read (data, head, sources, rows, extra), 5 and 6 written (refused, results).
fn build(
    device: &wgpu::Device,
    wgsl: &dyn Fn(Kernel) -> String,
) -> (wgpu::BindGroupLayout, Vec<wgpu::ComputePipeline>) {
    let entries: Vec<_> = (0..7)
        .map(|binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: binding < 5 },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        bind_group_layouts: &[Some(&layout)],
        ..Default::default()
    });
    let pipelines = Kernel::ALL
        .into_iter()
        .map(|kernel| {
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(kernel.name()),
                source: wgpu::ShaderSource::Wgsl(wgsl(kernel).into()),
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel.name()),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        })
        .collect();
    (layout, pipelines)
}
