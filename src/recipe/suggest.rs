//! The nearest word: for keys, methods and values that were misspelt.

/// The candidate that `word` most likely means, or none that is near enough. Letter case counts for nothing.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normal(word);
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = normal(candidate);
            // A word of one or two letters is near everything that short.
            let near = if word.len().min(other.len()) < 3 { 0 } else { allowed };
            let distance = distance(&word, &other);
            (distance <= near).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn normal(word: &str) -> Vec<char> {
    word.to_ascii_lowercase().replace(['-', ' '], "_").chars().collect()
}

/// How many letters to insert, remove, replace or swap with a neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let keys = ["density", "weight", "normalize", "merge_method", "t"];
        for (word, expected) in [
            ("densty", Some("density")),
            ("desnity", Some("density")),
            ("Weight", Some("weight")),
            ("merge-method", Some("merge_method")),
            ("normalise", Some("normalize")),
            ("T", Some("t")),
            ("x", None),
            ("banana", None),
        ] {
            assert_eq!(suggest(word, keys), expected, "{word}");
        }
    }
}
