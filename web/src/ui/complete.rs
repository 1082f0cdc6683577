//! What the editor offers at a place: the recipe room's words, and where a model's name belongs, the names of those loaded.

use merge_studio::recipe::{self, MethodInfo};
use serde::Serialize;

/// One thing that can be written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// What is shown.
    pub label: String,
    /// Beside it.
    pub detail: String,
    /// What is written.
    pub insert: String,
    /// `property` for keys, `constant` for values.
    pub kind: &'static str,
}

/// What fits at `line`, `column` (from 1) of `text`.
pub fn complete(text: &str, line: usize, column: usize, methods: &[MethodInfo], models: &[String]) -> Vec<Offer> {
    let current = line.checked_sub(1).and_then(|at| text.lines().nth(at)).unwrap_or_default();
    let before: String = current.chars().take(column.saturating_sub(1)).collect();
    let key = before.trim_start().trim_start_matches("- ").split_once(':').map(|(key, _)| key.trim());
    let mut offers = Vec::new();
    if matches!(key, Some("model" | "base_model")) {
        offers.extend(models.iter().map(|model| value(model.clone(), String::new())));
    }
    for word in recipe::complete(text, line, column, methods) {
        if offers.iter().all(|offer| offer.label != word.label) {
            offers.push(if key.is_some() { value(word.label, word.detail) } else { property(word.label, word.detail) });
        }
    }
    offers
}

fn value(label: String, detail: String) -> Offer {
    Offer { insert: label.clone(), label, detail, kind: "constant" }
}

fn property(label: String, detail: String) -> Offer {
    Offer { insert: format!("{label}:"), label, detail, kind: "property" }
}

#[cfg(test)]
mod tests {
    use merge_studio::method;

    use super::*;

    fn inserts(text: &str) -> Vec<String> {
        let line = text.lines().count().max(1) + usize::from(text.ends_with('\n'));
        let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let models = ["demo-base".to_owned()];
        complete(text, line, column, &method::infos(), &models).into_iter().map(|offer| offer.insert).collect()
    }

    #[test]
    fn keys_come_with_their_colon_and_values_without() {
        assert!(inserts("").contains(&"merge_method:".to_owned()));
        assert!(inserts("merge_method: ").contains(&"dare_ties".to_owned()));
    }

    #[test]
    fn where_a_model_belongs_the_loaded_ones_are_offered_once() {
        assert_eq!(inserts("models:\n  - model: "), ["demo-base"]);
        assert_eq!(inserts("models:\n  - model: demo-base\nbase_model: "), ["demo-base"]);
        assert!(!inserts("dtype: ").contains(&"demo-base".to_owned()));
    }
}
