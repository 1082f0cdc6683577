//! The WebGPU backend, through wgpu. Nothing outside this folder names wgpu.
