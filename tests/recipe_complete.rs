//! Completion in the editor.

use merge_studio::method::infos;
use merge_studio::recipe::{complete, examples};

fn labels(text: &str, line: usize, column: usize) -> Vec<String> {
    complete(text, line, column, &infos()).into_iter().map(|completion| completion.label).collect()
}

#[test]
fn words_fit_their_place() {
    let ties = examples()[1].text;
    let with = |at: usize, line: &str| {
        let mut lines: Vec<&str> = ties.lines().collect();
        lines.insert(at - 1, line);
        labels(&lines.join("\n"), at, line.chars().count() + 1)
    };
    assert_eq!(with(1, "me"), ["merge_method"]);
    assert_eq!(with(5, "      "), ["weight", "density"]);
    assert_eq!(with(6, "      d"), ["density"]);
    assert_eq!(with(14, "  r"), ["rescale"]);
    assert_eq!(with(2, "  - mo"), ["model"]);
    assert_eq!(with(4, "    pa"), ["parameters"]);
    assert_eq!(with(1, "merge_method: ti"), ["ties"]);
    assert_eq!(with(1, "out_dtype: b"), ["bfloat16"]);
    assert_eq!(with(1, "base_model: epfl"), ["epfl-llm/meditron-7b"]);
    assert!(with(1, "# merge").is_empty());
    assert_eq!(labels("parameters:\n  t:\n    - f", 3, 8), ["filter"]);
}
