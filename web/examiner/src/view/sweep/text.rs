//! A recipe's text with another number in it, and all else as it was written.
//!
//! No YAML is read here: numbers are tried where they seem to be written, and what the text says afterwards decides.

use merge_studio::method;
use merge_studio::recipe::{self, Recipe};

use super::knob::Knob;

/// Places that are tried at most: each takes a reading of the whole text.
const MOST: usize = 64;

/// The recipe of `text` with a knob's number, in the text's own words: comments, order and spelling stay. `None` where that cannot be done by
/// putting the number in the place of another, or into the recipe's own `parameters`.
pub fn with(text: &str, recipe: &Recipe, knob: &Knob, number: f64) -> Option<String> {
    let wanted = knob.set(recipe, number);
    let read = |text: &str| recipe::check(text, &method::infos()).recipe;
    let name = knob.info.name;
    let mut changed = text.to_owned();
    // From the last to the first, so that no change moves a place that comes.
    for (start, end) in values(text, name).into_iter().rev() {
        let mut other = changed.clone();
        other.replace_range(start..end, &number.to_string());
        // It is one of the knob's where, the knob set, nothing but the knob was changed. A comment changes nothing at all.
        let is_own = |other: &Recipe| knob.set(other, number) == wanted && Some(other) != read(&changed).as_ref();
        if read(&other).is_some_and(|other| is_own(&other)) {
            changed = other;
        }
    }
    let is_it = |text: &String| read(text).as_ref() == Some(&wanted);
    if is_it(&changed) {
        return Some(changed);
    }
    let line = format!("{name}: {number}");
    let heads = changed.match_indices("\nparameters:\n").map(|(at, head)| at + head.len());
    let mut longer: Vec<String> = heads.map(|at| format!("{}  {line}\n{}", &changed[..at], &changed[at..])).collect();
    let end = if changed.ends_with('\n') { "" } else { "\n" };
    longer.push(format!("{changed}{end}parameters:\n  {line}\n"));
    longer.into_iter().find(is_it)
}

/// Where numbers, and lists of numbers, seem to be written for a key.
fn values(text: &str, key: &str) -> Vec<(usize, usize)> {
    let is_name = |letter: char| letter.is_alphanumeric() || "_-".contains(letter);
    let mut found = Vec::new();
    for (at, _) in text.match_indices(key) {
        let behind = &text[at + key.len()..];
        let value = behind.strip_prefix(':').map(|value| value.trim_start_matches(' '));
        let Some(value) = value.filter(|_| !text[..at].ends_with(is_name)) else { continue };
        let length = if value.starts_with('[') {
            value.find(']').map_or(0, |end| end + 1)
        } else {
            value.find(|letter: char| letter.is_whitespace() || ",}]#".contains(letter)).unwrap_or(value.len())
        };
        if length > 0 && found.len() < MOST {
            let start = text.len() - value.len();
            found.push((start, start + length));
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::knob::{Target, knobs};
    use super::*;

    const TEXT: &str = "# weight: 0.5 is what the paper has
merge_method: ties
base_model: base   # the base
models:
  - model: a
    parameters: {weight: 0.5, density: [0.2, 0.8]}   # halves
  - {model: b, parameters: {weight: 0.25}}

dtype: bfloat16  # weight: 0.5
";

    fn changed(text: &str, name: &str, target: &Target, number: f64) -> Option<String> {
        let recipe = recipe::check(text, &method::infos()).recipe.unwrap();
        let knobs = knobs(&recipe, &method::infos());
        let knob = knobs.iter().find(|knob| knob.info.name == name && knob.target == *target).unwrap();
        with(text, &recipe, knob, number)
    }

    #[test]
    fn only_the_number_changes_and_comments_stay() {
        let all = changed(TEXT, "weight", &Target::All, 0.75).unwrap();
        assert_eq!(all, TEXT.replace("{weight: 0.5,", "{weight: 0.75,").replace("0.25", "0.75"));
        let one = changed(TEXT, "weight", &Target::Input("b".into()), 0.1).unwrap();
        assert_eq!(one, TEXT.replace("0.25", "0.1"));
        let list = changed(TEXT, "density", &Target::Input("a".into()), 1.0).unwrap();
        assert_eq!(list, TEXT.replace("[0.2, 0.8]", "1"));
        // The number that it has already.
        assert_eq!(changed(TEXT, "weight", &Target::Input("b".into()), 0.25).unwrap(), TEXT);
    }

    #[test]
    fn a_number_that_is_not_written_comes_into_the_recipes_own_parameters() {
        let new = changed(TEXT, "lambda", &Target::Shared, 1.5).unwrap();
        assert_eq!(new, format!("{TEXT}parameters:\n  lambda: 1.5\n"));
        let more =
            changed(&format!("{TEXT}parameters:\n  normalize: false # so\n"), "lambda", &Target::Shared, -0.5).unwrap();
        assert_eq!(more, format!("{TEXT}parameters:\n  lambda: -0.5\n  normalize: false # so\n"));
        assert_eq!(changed(&more, "lambda", &Target::Shared, 2.0).unwrap(), more.replace("-0.5", "2"));
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_left_to_be_written_anew() {
        let alias = TEXT.replace("weight: 0.5,", "weight: &w 0.5,").replace("weight: 0.25", "weight: *w");
        assert_eq!(changed(&alias, "weight", &Target::Input("a".into()), 0.1), None);
        let own = changed(&alias, "weight", &Target::Input("b".into()), 0.1).unwrap();
        assert_eq!(own, alias.replace("*w", "0.1"));
        // An input without parameters.
        assert_eq!(changed(TEXT, "density", &Target::Input("b".into()), 0.1), None);
    }
}
