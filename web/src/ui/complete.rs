//! What can be written at a place of a recipe: keys, methods, types, parameters, names of loaded models.
//!
//! It looks at the line and at what the line is indented under, not at a parsed recipe: while one types, there is none.

use merge_studio::recipe::{FloatName, MethodInfo, Scope};
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
    /// `keyword`, `property` or `constant`: how it is drawn.
    pub kind: &'static str,
}

/// The keys at the top of a recipe.
const TOP: [&str; 6] = ["models", "merge_method", "base_model", "parameters", "dtype", "out_dtype"];

/// What fits at `line`, `column` (from 1) of `text`.
pub fn complete(text: &str, line: usize, column: usize, methods: &[MethodInfo], models: &[String]) -> Vec<Offer> {
    let lines: Vec<&str> = text.lines().collect();
    let current = line.checked_sub(1).and_then(|at| lines.get(at)).copied().unwrap_or_default();
    let before: String = current.chars().take(column.saturating_sub(1)).collect();
    let above = &lines[..line.saturating_sub(1).min(lines.len())];
    let words = before.trim_start().trim_start_matches("- ");
    match words.split_once(':') {
        Some((key, _)) => values(key.trim(), methods, models),
        None => keys(above, indent(&before), before.trim_start().starts_with('-'), text, methods),
    }
}

fn values(key: &str, methods: &[MethodInfo], models: &[String]) -> Vec<Offer> {
    let constant = |label: &str, detail: &str| Offer {
        label: label.to_owned(),
        detail: detail.to_owned(),
        insert: label.to_owned(),
        kind: "constant",
    };
    match key {
        "merge_method" => methods.iter().map(|info| constant(info.id, info.title)).collect(),
        "dtype" | "out_dtype" => FloatName::ALL.iter().map(|float| constant(float.name(), "")).collect(),
        "base_model" | "model" => models.iter().map(|model| constant(model, "")).collect(),
        _ => ["true", "false"].iter().map(|flag| constant(flag, "")).filter(|_| is_flag(key, methods)).collect(),
    }
}

fn is_flag(key: &str, methods: &[MethodInfo]) -> bool {
    let parameter = methods.iter().find_map(|info| info.parameter(key));
    parameter.is_some_and(|parameter| matches!(parameter.kind, merge_studio::recipe::ParameterKind::Flag))
}

fn keys(above: &[&str], depth: usize, in_item: bool, text: &str, methods: &[MethodInfo]) -> Vec<Offer> {
    let key = |label: &str, detail: &str| Offer {
        label: label.to_owned(),
        detail: detail.to_owned(),
        insert: format!("{label}:"),
        kind: "property",
    };
    match parents(above, depth).first() {
        Some(parent) if parent.key == "parameters" => {
            let method = text.lines().find_map(|line| line.strip_prefix("merge_method:")).map(str::trim);
            let known = methods.iter().filter(|info| method.is_none_or(|method| method == info.id));
            let fits = |scope: Scope| parent.depth == 0 || scope != Scope::Shared;
            let mut offers: Vec<Offer> = Vec::new();
            for parameter in known.flat_map(|info| &info.parameters).filter(|parameter| fits(parameter.scope)) {
                if offers.iter().all(|offer| offer.label != parameter.name) {
                    offers.push(key(parameter.name, parameter.help));
                }
            }
            offers
        }
        Some(parent) if matches!(parent.key, "models" | "model") => {
            ["model", "parameters"].map(|word| key(word, "")).into()
        }
        Some(_) => ["filter", "value"].map(|word| key(word, "")).into(),
        // YAML lets a list stand at its key's own depth.
        None if in_item => vec![key("model", "")],
        None => TOP.iter().map(|word| key(word, "")).collect(),
    }
}

/// A key and the depth that it stands at.
struct Parent<'a> {
    key: &'a str,
    depth: usize,
}

/// The keys that something at `depth` below these lines stands under, the nearest first.
fn parents<'a>(above: &[&'a str], depth: usize) -> Vec<Parent<'a>> {
    let mut depth = depth;
    let mut found = Vec::new();
    for line in above.iter().rev().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        let here = indent(line);
        let words = line.trim_start();
        // The key behind `- ` stands two columns further in than its line.
        let inner = words.strip_prefix("- ").map_or(here, |_| here + 2);
        let Some((key, _)) = words.trim_start_matches("- ").split_once(':') else { continue };
        if inner < depth || (here < depth && inner == depth && key == "model") {
            found.push(Parent { key: key.trim(), depth: inner });
            depth = here;
        }
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use merge_studio::method;

    use super::*;

    fn labels(text: &str) -> Vec<String> {
        let line = text.lines().count().max(1) + usize::from(text.ends_with('\n'));
        let column = text.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        let models = ["demo-base".to_owned()];
        complete(text, line, column, &method::infos(), &models).into_iter().map(|offer| offer.label).collect()
    }

    #[test]
    fn an_empty_recipe_is_offered_its_top_keys() {
        assert_eq!(labels(""), TOP);
        assert_eq!(labels("models:\n- model: a\nme"), TOP);
    }

    #[test]
    fn values_follow_their_key() {
        assert!(labels("merge_method: ").contains(&"dare_ties".to_owned()));
        assert_eq!(labels("dtype: fl"), ["float16", "bfloat16", "float32", "float64"]);
        assert_eq!(labels("models:\n  - model: d"), ["demo-base"]);
        assert_eq!(labels("parameters:\n  normalize: "), ["true", "false"]);
        assert!(labels("parameters:\n  density: ").is_empty());
    }

    #[test]
    fn an_entry_of_models_is_offered_its_keys() {
        assert_eq!(labels("models:\n  - model: a\n    "), ["model", "parameters"]);
    }

    #[test]
    fn parameters_are_those_of_the_method_and_of_the_place() {
        let ties = "merge_method: ties\n";
        let outer = labels(&format!("{ties}parameters:\n  "));
        assert!(outer.contains(&"lambda".to_owned()) && outer.contains(&"weight".to_owned()), "{outer:?}");
        let inner = labels(&format!("{ties}models:\n  - model: a\n    parameters:\n      "));
        assert!(inner.contains(&"density".to_owned()) && !inner.contains(&"lambda".to_owned()), "{inner:?}");
        assert_eq!(labels("merge_method: slerp\nparameters:\n  "), ["t"]);
    }

    #[test]
    fn a_list_under_a_parameter_is_offered_a_filters_keys() {
        assert_eq!(labels("parameters:\n  t:\n    - "), ["filter", "value"]);
    }
}
