//! From the recipe's models or slices to groups: which layers of which inputs are merged with each other, and by whose settings.

use std::collections::BTreeMap;

use super::PlanError;
use super::sources::Applied;
use crate::model::{Model, Section};
use crate::recipe::{BaseUse, MethodInfo, Part, Recipe, Settings, split_adapter};

/// The folders that a recipe and its stages name, each once: models in order, then a base that is not listed, then adapters (what
/// stands behind the `+` of a model's name). Results of stages are none.
pub fn input_names(recipe: &Recipe) -> Vec<String> {
    let recipes = recipe.stages.iter().map(|stage| &stage.recipe).chain([recipe]);
    let merged: Vec<String> = recipes.flat_map(merged_names).collect();
    let mut names: Vec<String> = Vec::new();
    let models = merged.iter().filter(|name| recipe.stage_of(name).is_none()).map(|name| split_adapter(name).0);
    for name in models.chain(merged.iter().filter_map(|name| split_adapter(name).1)) {
        push_new(&mut names, name);
    }
    names
}

/// The models that are merged, by their whole names (`model+adapter`), each once: in order, then a base that is not listed.
pub(super) fn merged_names(recipe: &Recipe) -> Vec<String> {
    let mut names = Vec::new();
    for part in recipe.parts() {
        part.models.iter().for_each(|entry| push_new(&mut names, &entry.model));
        part.slices.iter().flat_map(|slice| &slice.sources).for_each(|source| push_new(&mut names, &source.model));
    }
    recipe.base_model.iter().for_each(|base| push_new(&mut names, base));
    names
}

fn push_new(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// A model that is merged.
pub(super) struct Input<'a> {
    /// Its whole name in the recipe.
    pub name: String,
    /// Index of its folder among the opened models.
    pub index: usize,
    pub model: &'a Model,
    pub adapter: Option<Applied<'a>>,
}

/// Finds the opened models behind the recipe's names.
pub(super) fn inputs<'a>(
    recipe: &Recipe,
    models: &'a [Model],
    binding: &BTreeMap<String, usize>,
) -> Result<Vec<Input<'a>>, PlanError> {
    let bound = |name: &str| {
        let bound = binding.get(name).and_then(|&index| Some((index, models.get(index)?)));
        bound.ok_or_else(|| PlanError::Unbound(name.to_owned()))
    };
    let input = |name: String| {
        let (own, adapter) = split_adapter(&name);
        let (index, model) = bound(own)?;
        if let Some(adapter) = &model.adapter {
            return Err(PlanError::IsAdapter { name, base: adapter.base.clone() });
        }
        if let Some(how) = model.quantized() {
            return Err(PlanError::Quantized { name: own.to_owned(), how: Box::new(how) });
        }
        let applied = |adapter: &str| {
            let (index, adapter) = bound(adapter)?;
            let patches = adapter
                .patches(model)
                .map_err(|error| PlanError::Adapter { name: name.clone(), error: Box::new(error) })?;
            Ok(Applied { index, model: adapter, patches })
        };
        let adapter = adapter.map(applied).transpose()?;
        Ok(Input { name, index, model, adapter })
    };
    merged_names(recipe).into_iter().map(input).collect()
}

/// Layers that are merged with each other: of whole models, or of the sources of a slice.
pub(super) struct Group<'a> {
    pub members: Vec<Member<'a>>,
    /// Which input is the base, if the method works from one.
    pub base: Option<usize>,
    /// The input that the recipe calls the base, whatever the method makes of it: tokens that others lack are taken from it.
    pub named_base: Option<usize>,
    /// How many layers of the output it makes.
    pub layers: u64,
    /// Settings for all members, from the narrowest to the widest scope: slice, module, recipe.
    pub scopes: Vec<&'a Settings>,
}

/// One input's share of a group.
pub(super) struct Member<'a> {
    pub input: usize,
    /// Its first layer in the group.
    pub first: u64,
    /// Its own settings; an unlisted base has none.
    pub settings: Option<&'a Settings>,
}

/// The groups of one part of the recipe, in the order of the output's layers.
///
/// # Errors
/// What the linter cannot see without the models: ranges beyond their layers, whole models of unequal depth. And, for recipes that come
/// from elsewhere than the linter, a method's demands on the number of models and on the base.
pub(super) fn groups<'a>(
    recipe: &'a Recipe,
    part: &Part<'a>,
    section: Section<'_>,
    info: &MethodInfo,
    inputs: &[Input<'a>],
) -> Result<Vec<Group<'a>>, PlanError> {
    let position = |name: &str| inputs.iter().position(|input| input.name == *name);
    let scopes =
        |slice: Option<&'a Settings>| slice.into_iter().chain(part.parameters).chain([&recipe.parameters]).collect();
    let member = |name: &str, first: u64, settings: &'a Settings| {
        let input = position(name).ok_or_else(|| PlanError::Unbound(name.to_owned()))?;
        Ok(Member { input, first, settings: Some(settings) })
    };
    let mut groups = Vec::new();
    if part.slices.is_empty() {
        let mut members = part
            .models
            .iter()
            .map(|entry| member(&entry.model, 0, &entry.parameters))
            .collect::<Result<Vec<_>, PlanError>>()?;
        // A base that is not listed joins whole models, and never a slice.
        let base = recipe.base_model.as_deref().and_then(position);
        if let Some(input) = base.filter(|base| members.iter().all(|member| member.input != *base)) {
            members.push(Member { input, first: 0, settings: None });
        }
        let layers = even_layers(&members, inputs, section)?;
        groups.push(Group { members, base, named_base: base, layers, scopes: scopes(None) });
    }
    for (number, slice) in part.slices.iter().enumerate() {
        let mut members = Vec::with_capacity(slice.sources.len());
        let mut layers = None;
        for source in &slice.sources {
            let (first, end) = source.layers;
            let member = member(&source.model, first, &source.parameters)?;
            let layers_there = section.layers(inputs[member.input].model);
            if end > first && end > layers_there {
                return Err(PlanError::LayerRange { model: source.model.clone(), end, layers: layers_there });
            }
            // mergekit takes a reversed range for one without layers.
            let own = end.saturating_sub(first);
            if *layers.get_or_insert(own) != own {
                return Err(PlanError::SliceLengths { slice: number + 1 });
            }
            members.push(member);
        }
        let named = slice.base_model.as_ref().or(recipe.base_model.as_ref());
        let base =
            named.and_then(|name| position(name)).filter(|base| members.iter().any(|member| member.input == *base));
        if let (None, Some(base), true) = (base, named, info.has_base()) {
            return Err(PlanError::BaseNotInSlice { base: base.clone(), slice: number + 1 });
        }
        let (layers, scopes) = (layers.unwrap_or(0), scopes(Some(&slice.parameters)));
        groups.push(Group { members, base, named_base: base, layers, scopes });
    }
    for group in &mut groups {
        demands(info, group)?;
    }
    Ok(groups)
}

/// The depth that all members share. Bare checkpoints have none: each may lack whole layers, as it may lack a tensor.
fn even_layers(members: &[Member<'_>], inputs: &[Input<'_>], section: Section<'_>) -> Result<u64, PlanError> {
    let inputs = members.iter().map(|member| &inputs[member.input]);
    let all_bare = inputs.clone().all(|input| input.model.config.is_none());
    let mut depths = inputs.map(|input| (input, section.layers(input.model)));
    if all_bare {
        return Ok(depths.map(|(_, layers)| layers).max().unwrap_or(0));
    }
    let Some((first, first_layers)) = depths.next() else { return Ok(0) };
    match depths.find(|(_, layers)| *layers != first_layers) {
        None => Ok(first_layers),
        Some((second, second_layers)) => {
            let (first, second) = (first.name.clone(), second.name.clone());
            Err(PlanError::LayersDiffer { first, first_layers, second, second_layers })
        }
    }
}

/// What the method asks of a group; forgets the base of a method that has none.
fn demands(info: &MethodInfo, group: &mut Group<'_>) -> Result<(), PlanError> {
    let method = info.id.to_owned();
    if !info.has_base() {
        group.base = None;
    }
    if info.base == BaseUse::Required && group.base.is_none() {
        return Err(PlanError::BaseMissing { method });
    }
    let (least, most) = info.models;
    let found = group.members.len() - usize::from(group.base.is_some());
    if found < least || most.is_some_and(|most| found > most) {
        return Err(PlanError::ModelCount { method, least, most, found });
    }
    Ok(())
}
