//! A panic ends its worker: the page is told what it was and where, and replaces the worker.

use crate::protocol::Event;

/// Sends every panic's message and place to the page.
pub(super) fn report_to_page() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.to_string();
        web_sys::console::error_1(&message.as_str().into());
        super::say(&Event::Crashed { message });
    }));
}
