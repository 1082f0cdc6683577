//! Light or dark: what the system says until the person says otherwise.

use gloo::storage::{LocalStorage, Storage};

use super::words;

const KEY: &str = "merge-studio.theme";

/// The colours of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Theme {
    Light,
    Dark,
}

impl Theme {
    /// What the person chose before, or what the system prefers.
    pub fn current() -> Self {
        let chosen: Option<String> = LocalStorage::get(KEY).ok();
        match chosen.as_deref() {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::of_system(),
        }
    }

    fn of_system() -> Self {
        let query = gloo::utils::window().match_media("(prefers-color-scheme: dark)");
        if query.ok().flatten().is_some_and(|query| query.matches()) { Self::Dark } else { Self::Light }
    }

    /// Wears it. The choice is only kept where it differs from the system's, so that following the system stays the rule.
    pub fn choose(self) {
        if self == Self::of_system() {
            LocalStorage::delete(KEY);
        } else {
            // A full or closed storage forgets the theme, no more.
            let _ = LocalStorage::set(KEY, self.name());
        }
        self.wear();
    }

    /// Puts it on the page.
    pub fn wear(self) {
        if let Some(root) = gloo::utils::document().document_element() {
            // Setting an attribute of a valid name cannot fail.
            let _ = root.set_attribute("data-theme", self.name());
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Light => Self::Dark,
            Self::Dark => Self::Light,
        }
    }

    /// The words of the button that changes it.
    pub fn toggle_words(self) -> &'static str {
        match self {
            Self::Light => words::TO_DARK,
            Self::Dark => words::TO_LIGHT,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}
