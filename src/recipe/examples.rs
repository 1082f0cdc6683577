//! The recipes that are shipped: the four of the article that this project grew from.

use serde::Serialize;

/// A recipe to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its short name, in links and in tests.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its YAML.
    pub text: &'static str,
}

static EXAMPLES: [Example; 4] = [
    Example {
        id: "dare_ties",
        title: "DARE TIES: two fine-tunes on their base",
        text: include_str!("../../static/examples/dare_ties.yml"),
    },
    Example {
        id: "ties",
        title: "TIES: two fine-tunes on their base",
        text: include_str!("../../static/examples/ties.yml"),
    },
    Example {
        id: "linear",
        title: "Linear: the weighted average of two models",
        text: include_str!("../../static/examples/linear.yml"),
    },
    Example {
        id: "slerp",
        title: "SLERP: halfway between two models",
        text: include_str!("../../static/examples/slerp.yml"),
    },
];

/// The examples, in the order in which they are shown.
pub fn examples() -> &'static [Example] {
    &EXAMPLES
}
