//! The user interface: one state, one reducer, components one a file.
//!
//! It imports the protocol, the bridge and the engine's plain data, and no weights ever pass through it. What can be decided
//! without a browser (binding, form edits, link agreement, grouping of files) is plain functions with tests of their own.

mod agreement;
mod app;
mod benchmark;
mod binding;
mod bindings;
mod card;
mod complete;
mod curve;
mod demo;
mod edit;
mod edit_slices;
mod evaluate;
pub mod field;
pub mod files;
mod filters;
mod form;
mod gauging;
mod gguf;
mod grouping;
mod header;
mod ledger;
mod link_banner;
mod merging;
mod models;
pub mod numbers;
mod points;
mod preview;
mod problems;
pub mod progress;
mod qr;
mod recipe_pane;
mod results;
mod run_pane;
mod setting;
mod shared;
mod slices;
mod state;
mod theme;
mod vocabulary;
pub mod words;
mod yaml;

/// Puts the page into the document.
pub fn mount() {
    if let Some(page) = gloo::utils::document().get_element_by_id("page") {
        yew::Renderer::<app::App>::with_root(page).render();
    }
}
