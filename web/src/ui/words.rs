//! Every sentence that the page says, in English. Components hold none: another language is another module like this one.
//!
//! Enums of the engine that word themselves (`Display`) are used as they are.

pub mod benchmark;
pub mod gguf;
pub mod machine;
pub mod model;
pub mod recipe;
pub mod run;

/// The page's name.
pub const NAME: &str = "Merge Studio";
/// What it is, under the name.
pub const TAGLINE: &str = "Merges language models in this tab. Nothing is uploaded.";
/// Jumps over the header.
pub const SKIP: &str = "Skip to the studio";
/// The theme button, when the page is light.
pub const TO_DARK: &str = "Switch to the dark theme";
/// The theme button, when the page is dark.
pub const TO_LIGHT: &str = "Switch to the light theme";
/// What the header's navigation leads to.
pub const VIEWS: &str = "Views";
/// Where models are merged.
pub const MERGE: &str = "Merge";
/// Where they are evaluated.
pub const EVALUATE: &str = "Evaluate";
/// In place of that view, until it is there.
pub const LOADING_EVALUATE: &str = "What evaluates models is being loaded …";
/// Drop overlay.
pub const DROP_HERE: &str = "Drop models or a recipe";
/// Below it.
pub const DROP_WHAT: &str = "Folders, .safetensors files, or a .yaml recipe. They stay on this machine.";
/// Drop overlay where models are evaluated.
pub const DROP_TASKS_HERE: &str = "Drop tasks or models";
/// Below it.
pub const DROP_TASKS_WHAT: &str = "Task files with their data, or folders of models. They stay on this machine.";
/// Button that closes a notice.
pub const DISMISS: &str = "Dismiss";

/// In place of the view that could not be fetched.
pub fn no_evaluate(why: &str) -> String {
    format!("What evaluates models could not be loaded ({why}). Check the connection, then open this view again.")
}

/// Words of an error as a sentence: a capital letter, a full stop.
pub fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase().to_string()).unwrap_or_default();
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// Several names in prose: a, b and c.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// 1 tensor · 3 tensors.
pub fn count(number: u64, one: &str, many: &str) -> String {
    let number_word = super::numbers::grouped(number);
    if number == 1 { format!("{number_word} {one}") } else { format!("{number_word} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_in_prose() {
        let names: Vec<String> = ["a", "b", "c"].map(ToOwned::to_owned).into();
        assert_eq!(listed(&names), "a, b and c");
        assert_eq!(listed(&names[..1]), "a");
    }

    #[test]
    fn words_of_an_error_become_a_sentence() {
        assert_eq!(sentence("the link is damaged"), "The link is damaged.");
        assert_eq!(sentence("is it?"), "Is it?");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn counts_agree_with_their_nouns() {
        assert_eq!(count(1, "tensor", "tensors"), "1 tensor");
        assert_eq!(count(1200, "tensor", "tensors"), "1,200 tensors");
    }
}
