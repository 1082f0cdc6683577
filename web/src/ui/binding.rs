//! Which loaded model stands for which name of the recipe.
//!
//! Three ways, in this order: the person chose it; the name says it; or, where a recipe's names say nothing of what is loaded
//! (an example, a recipe from a blog), the models are suggested in order, the base to the base. A suggestion is visible and
//! one choice away from another.

use std::collections::BTreeMap;

/// How a name got its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The person chose it.
    Chosen,
    /// The names agree.
    Named,
    /// Nothing said it: it was next in order.
    Suggested,
}

/// One name of the recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// As the recipe writes it.
    pub name: String,
    /// Index into the loaded models, and how it came to that.
    pub model: Option<(usize, How)>,
}

/// What is to be bound to what.
#[derive(Clone, Debug, Default)]
pub struct Question<'a> {
    /// The recipe's names in its order, the base and adapters among them.
    pub names: &'a [String],
    /// Which of them are adapters' (what stands behind a `+`).
    pub adapters: &'a [&'a str],
    /// Which is the base's.
    pub base: Option<&'a str>,
    /// The loaded models, and whether each is an adapter.
    pub models: &'a [(&'a str, bool)],
}

/// Binds the names to the loaded models, given the person's choices by name.
pub fn bind(question: &Question<'_>, chosen: &BTreeMap<String, String>) -> Vec<Bound> {
    let Question { names, models, .. } = question;
    let known = |name: &String| {
        let by_choice = chosen.get(name).and_then(|model| models.iter().position(|(each, _)| each == model));
        let by_name = || models.iter().position(|(model, _)| agree(name, model));
        by_choice.map(|model| (model, How::Chosen)).or_else(|| by_name().map(|model| (model, How::Named)))
    };
    let mut bound: Vec<Bound> = names.iter().map(|name| Bound { name: name.clone(), model: known(name) }).collect();
    // Adapters stand for adapters only, and models for models.
    suggest(&mut bound, question, false);
    suggest(&mut bound, question, true);
    bound
}

/// Gives the names that are still without a model the models that are still without a name, if there are enough of them.
fn suggest(bound: &mut [Bound], question: &Question<'_>, adapters: bool) {
    let Question { base, models, .. } = *question;
    let is_base = |bound: &Bound| Some(bound.name.as_str()) == base;
    let is_adapter = |bound: &Bound| question.adapters.contains(&bound.name.as_str());
    let open: Vec<usize> =
        (0..bound.len()).filter(|&at| bound[at].model.is_none() && is_adapter(&bound[at]) == adapters).collect();
    let spare: Vec<usize> = (0..models.len())
        .filter(|at| {
            models[*at].1 == adapters && bound.iter().all(|each| each.model.is_none_or(|(model, _)| model != *at))
        })
        .collect();
    if spare.len() < open.len() {
        return;
    }
    let base_is_open = open.iter().any(|&at| is_base(&bound[at]));
    let open = first(open, |&at| is_base(&bound[at]));
    // A model that calls itself a base is one; in a recipe without a base it is the last to be taken for a fine-tune.
    let spare = first(spare, |&at| is_called_base(models[at].0) == base_is_open);
    for (name, model) in open.into_iter().zip(spare) {
        bound[name].model = Some((model, How::Suggested));
    }
}

/// `all`, those that are wanted before the others.
pub fn first<T>(all: Vec<T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let (mut first, others): (Vec<T>, Vec<T>) = all.into_iter().partition(wanted);
    first.extend(others);
    first
}

/// Whether a model calls itself a base.
pub fn is_called_base(model: &str) -> bool {
    model.to_ascii_lowercase().contains("base")
}

/// Whether a recipe's name means a model called `model`: the same text, or a path that ends in it.
fn agree(name: &str, model: &str) -> bool {
    let plain = |text: &str| {
        let text = text.trim_end_matches(['/', '\\']);
        let last = text.rsplit(['/', '\\']).next().unwrap_or(text);
        last.strip_suffix(".safetensors").unwrap_or(last).to_ascii_lowercase()
    };
    name == model || plain(name) == plain(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models_of(
        names: &[&str],
        base: Option<&str>,
        models: &[&str],
        chosen: &[(&str, &str)],
    ) -> Vec<Option<(usize, How)>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let chosen = chosen.iter().map(|(name, model)| ((*name).to_owned(), (*model).to_owned())).collect();
        let models: Vec<(&str, bool)> = models.iter().map(|model| (*model, model.ends_with("lora"))).collect();
        let adapters: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.ends_with("adapter")).collect();
        let question = Question { names: &names, adapters: &adapters, base, models: &models };
        bind(&question, &chosen).into_iter().map(|bound| bound.model).collect()
    }

    const ARTICLE: [&str; 3] = ["meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-chat-hf", "epfl-llm/meditron-7b"];

    #[test]
    fn a_path_means_the_folder_it_ends_in() {
        let bound = models_of(&["org/Alpha/", "./beta.safetensors"], None, &["beta", "alpha"], &[]);
        assert_eq!(bound, [Some((1, How::Named)), Some((0, How::Named))]);
    }

    #[test]
    fn an_examples_names_are_suggested_the_loaded_models_in_order_and_base_to_base() {
        let bound = models_of(&ARTICLE, Some(ARTICLE[0]), &["demo-chat", "demo-base", "demo-math"], &[]);
        assert_eq!(bound, [Some((1, How::Suggested)), Some((0, How::Suggested)), Some((2, How::Suggested))]);
    }

    #[test]
    fn a_recipe_without_a_base_is_suggested_the_fine_tunes_first() {
        let bound = models_of(&ARTICLE[1..], None, &["demo-base", "demo-chat", "demo-math"], &[]);
        assert_eq!(bound, [Some((1, How::Suggested)), Some((2, How::Suggested))]);
    }

    #[test]
    fn nothing_is_suggested_when_too_few_models_are_loaded() {
        assert_eq!(models_of(&ARTICLE, Some(ARTICLE[0]), &["a", "b"], &[]), [None, None, None]);
    }

    #[test]
    fn an_adapters_name_is_suggested_an_adapter_and_a_models_a_model() {
        let bound = models_of(&["x", "some/adapter"], None, &["my-lora", "a"], &[]);
        assert_eq!(bound, [Some((1, How::Suggested)), Some((0, How::Suggested))]);
        assert_eq!(models_of(&["x"], None, &["my-lora"], &[]), [None], "an adapter is no model");
    }

    #[test]
    fn a_choice_outranks_a_name_and_the_rest_is_suggested_around_it() {
        let bound = models_of(&["a", "x"], None, &["a", "b"], &[("a", "b")]);
        assert_eq!(bound, [Some((1, How::Chosen)), Some((0, How::Suggested))]);
    }

    #[test]
    fn a_choice_of_a_model_that_is_gone_is_forgotten() {
        assert_eq!(models_of(&["a"], None, &["a"], &[("a", "removed")]), [Some((0, How::Named))]);
    }
}
