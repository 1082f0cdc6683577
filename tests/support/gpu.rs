//! Tests of a GPU: without one they are ignored, with the reason; where `MERGE_STUDIO_NEED_GPU` is 1, they fail instead.

use libtest_mimic::{Completion, Failed};
use merge_studio_gpu::GpuError;

/// Tries `body` on a GPU, if opening it gave one.
pub fn on_gpu<G>(
    opened: &mut Result<G, GpuError>,
    body: impl FnOnce(&mut G) -> Result<(), Failed>,
) -> Result<Completion, Failed> {
    match opened {
        Ok(gpu) => body(gpu).map(|()| Completion::Completed),
        Err(GpuError::NoAdapter) if std::env::var("MERGE_STUDIO_NEED_GPU").as_deref() != Ok("1") => {
            Ok(Completion::ignored_with("this machine has no GPU, nor a driver that stands in for one"))
        }
        Err(error) => Err(Failed::from(error.to_string())),
    }
}
