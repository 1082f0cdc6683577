//! What a share link says of inputs and output, and whether what is here agrees with it.

use merge_studio::recipe::Link;

use super::binding::Bound;

/// Whether a loaded model is the one that a link means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The fingerprints are equal.
    Same,
    /// They differ: it is another model, or another version of it.
    Different,
    /// The link carries no fingerprint for this name.
    Unknown,
    /// No model stands for this name yet.
    Absent,
}

/// Whether a result is the one that a link promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Byte for byte.
    Same,
    /// Not the same bytes.
    Different,
}

/// One entry an input of the link, in its order. `fingerprints` has one an opened model, in the order that `bound` counts in.
pub fn of_inputs(link: &Link, bound: &[Bound], fingerprints: &[Option<&str>]) -> Vec<(String, Agreement)> {
    let agreement = |name: &str, expected: Option<&str>| {
        let here = bound
            .iter()
            .find(|bound| bound.name == name)
            .and_then(|bound| bound.model)
            .and_then(|(model, _)| fingerprints.get(model).copied().flatten());
        match (expected, here) {
            (_, None) => Agreement::Absent,
            (None, Some(_)) => Agreement::Unknown,
            (Some(expected), Some(here)) if expected == here => Agreement::Same,
            (Some(_), Some(_)) => Agreement::Different,
        }
    };
    let inputs = link.inputs.iter();
    inputs.map(|input| (input.name.clone(), agreement(&input.name, input.fingerprint.as_deref()))).collect()
}

/// Whether the output of a CPU merge (`output`, its hash) of this link's recipe and seed is what the link promises; `None` if either says nothing.
pub fn of_output(link: &Link, recipe: &str, seed: u64, output: Option<&str>) -> Option<Verdict> {
    if link.recipe != recipe || link.seed != seed {
        return None;
    }
    let (promised, made) = (link.output.as_deref()?, output?);
    Some(if promised == made { Verdict::Same } else { Verdict::Different })
}

#[cfg(test)]
mod tests {
    use merge_studio::recipe::LinkInput;

    use super::super::binding::How;
    use super::*;

    fn link() -> Link {
        let input = |name: &str, fingerprint: Option<&str>| LinkInput {
            name: name.to_owned(),
            fingerprint: fingerprint.map(ToOwned::to_owned),
        };
        Link {
            recipe: "text".to_owned(),
            seed: 7,
            inputs: vec![input("a", Some("aa")), input("b", Some("bb")), input("c", None), input("d", Some("dd"))],
            output: Some("out".to_owned()),
        }
    }

    fn bound(name: &str, model: usize) -> Bound {
        Bound { name: name.to_owned(), model: Some((model, How::Named)) }
    }

    #[test]
    fn each_input_is_same_different_unknown_or_absent() {
        let bound = [bound("a", 0), bound("b", 1), bound("c", 2)];
        let found: Vec<Agreement> =
            of_inputs(&link(), &bound, &[Some("aa"), Some("xx"), Some("cc")]).into_iter().map(|(_, is)| is).collect();
        assert_eq!(found, [Agreement::Same, Agreement::Different, Agreement::Unknown, Agreement::Absent]);
    }

    #[test]
    fn a_model_that_is_still_being_read_is_absent() {
        assert_eq!(of_inputs(&link(), &[bound("a", 0)], &[None])[0].1, Agreement::Absent);
    }

    #[test]
    fn an_output_is_judged_only_for_the_links_own_recipe_and_seed() {
        assert_eq!(of_output(&link(), "text", 7, Some("out")), Some(Verdict::Same));
        assert_eq!(of_output(&link(), "text", 7, Some("other")), Some(Verdict::Different));
        assert_eq!(of_output(&link(), "text", 8, Some("out")), None);
        assert_eq!(of_output(&link(), "edited", 7, Some("out")), None);
        assert_eq!(of_output(&link(), "text", 7, None), None);
    }
}
