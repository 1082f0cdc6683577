//! Every shader, as composed, read back by naga: no GPU is needed to know that it is valid and that it and Rust agree.

#![allow(clippy::unwrap_used)]

use merge_studio_gpu::{Kernel, WORKGROUP};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// WebGPU's default limits.
const MOST_STORAGE_BUFFERS: usize = 8;
const MOST_WORKGROUP_BYTES: u32 = 16_384;

fn parsed(kernel: Kernel) -> naga::Module {
    let wgsl = kernel.wgsl();
    naga::front::wgsl::parse_str(&wgsl)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name(), error.emit_to_string(&wgsl)))
}

#[test]
fn every_shader_file_is_composed_and_every_composed_shader_is_valid() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shader");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".wgsl")?.to_owned()))
        .collect();
    files.sort();
    let mut kernels: Vec<_> = Kernel::ALL.iter().map(|kernel| kernel.name()).collect();
    kernels.sort_unstable();
    assert!(!files.is_empty());
    assert_eq!(files, kernels);
    for (at, kernel) in Kernel::ALL.into_iter().enumerate() {
        assert_eq!(kernel as usize, at);
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
        if let Err(error) = validator.validate(&parsed(kernel)) {
            panic!("{}: {}", kernel.name(), error.emit_to_string(&kernel.wgsl()));
        }
    }
}

#[test]
fn workgroups_are_as_large_as_rust_says() {
    for kernel in Kernel::ALL {
        let module = parsed(kernel);
        let [entry] = &module.entry_points[..] else { panic!("{}: not one entry point", kernel.name()) };
        assert_eq!(entry.workgroup_size, [WORKGROUP, 1, 1], "{}", kernel.name());
    }
}

#[test]
fn bindings_fit_the_one_layout_and_the_default_limits() {
    for kernel in Kernel::ALL {
        let module = parsed(kernel);
        let (mut bindings, mut shared) = (Vec::new(), 0);
        for (_, variable) in module.global_variables.iter() {
            match variable.space {
                naga::AddressSpace::Storage { access } => {
                    let binding = variable.binding.unwrap();
                    let writes = access.contains(naga::StorageAccess::STORE);
                    assert_eq!(binding.group, 0);
                    assert_eq!(writes, binding.binding >= 5, "{}: binding {}", kernel.name(), binding.binding);
                    bindings.push(binding.binding);
                }
                naga::AddressSpace::WorkGroup => {
                    shared += module.types[variable.ty].inner.size(module.to_ctx());
                }
                naga::AddressSpace::Private => {}
                other => panic!("{}: {other:?}", kernel.name()),
            }
        }
        bindings.sort_unstable();
        assert_eq!(bindings, [0, 1, 2, 3, 4, 5, 6], "{}", kernel.name());
        assert!(bindings.len() <= MOST_STORAGE_BUFFERS);
        assert!(shared <= MOST_WORKGROUP_BYTES, "{}: {shared} bytes", kernel.name());
    }
}

#[test]
fn structures_have_no_padding() {
    for kernel in Kernel::ALL {
        let module = parsed(kernel);
        for (_, kind) in module.types.iter() {
            // Twofold is the shaders' own: it lies in no buffer.
            if let naga::TypeInner::Struct { members, span } = &kind.inner
                && kind.name.as_deref() != Some("Twofold")
            {
                assert_eq!(*span as usize, members.len() * 4, "{}: {:?}", kernel.name(), kind.name);
            }
        }
    }
}
