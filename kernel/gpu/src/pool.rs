//! The buffers of a device, kept from call to call and replaced when they are too small.

/// The size of a buffer for `bytes` bytes: rounded up, so that it serves what is a little larger.
pub(super) fn room(bytes: u64) -> u64 {
    const STEP: u64 = 1 << 20;
    if bytes < STEP { bytes.next_power_of_two().max(256) } else { bytes.next_multiple_of(STEP) }
}

/// A new buffer.
pub(super) fn create(device: &wgpu::Device, usage: wgpu::BufferUsages, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

/// What a buffer is for.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Head,
    Sources,
    Rows,
    Extra,
    Refused,
    Results,
    Readback,
}

impl Role {
    const COUNT: usize = 7;

    fn usage(self) -> wgpu::BufferUsages {
        use wgpu::BufferUsages as Usage;
        match self {
            Self::Head | Self::Sources | Self::Rows | Self::Extra => Usage::STORAGE | Usage::COPY_DST,
            Self::Refused | Self::Results => Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
            Self::Readback => Usage::MAP_READ | Usage::COPY_DST,
        }
    }
}

#[derive(Default)]
pub(super) struct Pool {
    buffers: [Vec<wgpu::Buffer>; Role::COUNT],
}

impl Pool {
    /// Takes a buffer of a role out, at least `bytes` large. A call that is dropped half-way does not put it back,
    /// so that no later one meets a buffer that is still being mapped.
    pub(super) fn take(&mut self, device: &wgpu::Device, role: Role, bytes: u64) -> wgpu::Buffer {
        match self.buffers[role as usize].pop() {
            Some(buffer) if buffer.size() >= bytes => return buffer,
            Some(small) => small.destroy(),
            None => {}
        }
        create(device, role.usage(), room(bytes))
    }

    /// Puts a buffer back for the next call.
    pub(super) fn put(&mut self, role: Role, buffer: wgpu::Buffer) {
        self.buffers[role as usize].push(buffer);
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self) {
        for buffer in self.buffers.iter_mut().flat_map(std::mem::take) {
            buffer.destroy();
        }
    }
}
