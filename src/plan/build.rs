//! Making the plan: which tensors there are, where each comes from, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::groups::{self, Group, Input, Member};
use super::sources::{self, RowMaps};
use super::tensors::{self, Wanted};
use super::vocabulary::{self, Alignment};
use super::{
    CopyReason, Expected, Job, LayerSource, LeftOut, LeftOutReason, MergeRule, Plan, PlanError, PlanNotice,
    PlanOptions, PlannedInput, Rule, SectionLayers, SourceTensor, coin, layout, parameters,
};
use crate::format::DType;
use crate::kernel::{Float, Precision};
use crate::method::{self, Method, Missing, Refusal, TensorInputs};
use crate::model::tokenizer::TokenizerFiles;
use crate::model::{Model, Section, Tensor, is_vocabulary};
use crate::recipe::{DEFAULT_MODULE, FloatName, MethodInfo, Part, Recipe, split_adapter};

/// Plans a merge, its stages apart. `binding` says which of `models` each name of the recipe stands for; `tokenizers` are the files of those models
/// that [`tokenizers_wanted`] names, by their index.
///
/// # Errors
/// Everything that would make the merge fail is found here, before any weight is read: see [`PlanError`].
pub fn plan(
    recipe: &Recipe,
    models: &[Model],
    binding: &BTreeMap<String, usize>,
    tokenizers: &BTreeMap<usize, TokenizerFiles>,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    let method =
        method::find(&recipe.merge_method).ok_or_else(|| PlanError::UnknownMethod(recipe.merge_method.clone()))?;
    let info = method.info();
    let inputs = groups::inputs(recipe, models, binding)?;
    if inputs.is_empty() {
        return Err(PlanError::NothingToMerge);
    }
    let named_base = recipe.base_model.as_ref().and_then(|base| inputs.iter().position(|input| input.name == *base));
    let alignment = sources::align(recipe, &inputs, tokenizers)?;
    let donor = named_base.unwrap_or(0);
    let planner = Planner { recipe, method, info, inputs, donor, alignment, seed: options.seed };
    let mut draft = Draft::default();
    for part in recipe.parts() {
        planner.part(&part, &mut draft)?;
    }
    planner.outside(&mut draft)?;
    if draft.jobs.is_empty() {
        return Err(PlanError::NothingToMerge);
    }
    let (jobs, files) = layout::assign(draft.jobs, options.shard_size, &options.metadata);
    let notices = planner.notices(tokenizers).into_iter().chain(draft.notices).collect();
    Ok(Plan {
        method: recipe.merge_method.clone(),
        inputs: planner.planned_inputs(),
        donor: planner.donor,
        jobs,
        files,
        left_out: draft.left_out,
        notices,
        seed: options.seed,
        layers: draft.layers,
        row_maps: draft.row_maps.maps,
        stages: Vec::new(),
    })
}

#[derive(Default)]
struct Draft {
    jobs: Vec<Job>,
    left_out: Vec<LeftOut>,
    notices: Vec<PlanNotice>,
    layers: Vec<SectionLayers>,
    row_maps: RowMaps,
}

struct Planner<'a> {
    recipe: &'a Recipe,
    method: &'static dyn Method,
    info: MethodInfo,
    inputs: Vec<Input<'a>>,
    donor: usize,
    /// The inputs' vocabularies, if the recipe aligns them.
    alignment: Option<Alignment>,
    seed: u64,
}

/// One input's tensor behind an output name.
#[derive(Clone, Copy)]
struct Found<'g, 'a> {
    member: &'g Member<'a>,
    name: &'a str,
    tensor: &'a Tensor,
}

impl<'a> Planner<'a> {
    fn part(&self, part: &Part<'a>, draft: &mut Draft) -> Result<(), PlanError> {
        let donor = self.inputs[self.donor].model;
        let section = Section::of(part.name, DEFAULT_MODULE);
        if section != Section::Whole && !donor.tensors.keys().any(|name| section.contains(donor, name)) {
            let known = donor.sections().into_iter().map(str::to_owned).collect();
            return Err(PlanError::NoSuchModule { module: part.name.to_owned(), known });
        }
        let groups = groups::groups(self.recipe, part, section, &self.info, &self.inputs)?;
        let sliced = !part.slices.is_empty();
        let mut used: BTreeSet<(usize, &str)> = BTreeSet::new();
        for wanted in tensors::wanted(&groups, &self.inputs, self.donor, section, sliced) {
            self.tensor(&wanted, &mut used, draft)?;
        }
        if sliced {
            draft.layers.push(SectionLayers { section: part.name.to_owned(), layers: layer_sources(&groups) });
            draft.left_out.extend(self.dropped(&groups, section, &used));
        }
        Ok(())
    }

    /// What is in none of the recipe's modules is the donor's: a model that lacks a part would not load.
    fn outside(&self, draft: &mut Draft) -> Result<(), PlanError> {
        let parts = self.recipe.parts();
        let sections: Vec<Section<'_>> = parts.iter().map(|part| Section::of(part.name, DEFAULT_MODULE)).collect();
        let donor = &self.inputs[self.donor];
        let is_outside = |name: &str| sections.iter().all(|section| !section.contains(donor.model, name));
        for name in tensors::by_place(donor.model).into_iter().filter(|name| is_outside(name)) {
            let tensor = &donor.model.tensors[name];
            let member = Member { input: self.donor, first: 0, settings: None };
            let found = [Found { member: &member, name, tensor }];
            self.check_alike(name, &found)?;
            let reason = if tensor.dtype.is_float() { CopyReason::OutsideModules } else { CopyReason::NotFloat };
            let dtype = if tensor.dtype.is_float() { self.dtype(&found) } else { tensor.dtype };
            let job = self.job(name, dtype, Rule::Copy(reason), &found, None, &mut draft.row_maps)?;
            draft.jobs.push(job);
        }
        Ok(())
    }

    /// The type of what is made of floats.
    fn dtype(&self, found: &[Found<'_, '_>]) -> DType {
        let promoted =
            found.iter().skip(1).fold(found[0].tensor.dtype, |dtype, other| dtype.promote(other.tensor.dtype));
        self.recipe.out_dtype.or(self.recipe.dtype).map_or(promoted, dtype_of)
    }

    /// What no slice asked for.
    fn dropped(&self, groups: &[Group<'_>], section: Section<'_>, used: &BTreeSet<(usize, &str)>) -> Vec<LeftOut> {
        let is_member =
            |input: usize| groups.iter().flat_map(|group| &group.members).any(|member| member.input == input);
        let mut dropped = Vec::new();
        for (input, Input { model, .. }) in self.inputs.iter().enumerate().filter(|(input, _)| is_member(*input)) {
            let unused = model
                .tensors
                .keys()
                .filter(|name| section.contains(model, name) && !used.contains(&(input, name.as_str())));
            dropped.extend(unused.map(|name| LeftOut {
                input,
                tensor: name.clone(),
                reason: LeftOutReason::NotInSlices,
            }));
        }
        dropped
    }

    /// The inputs, then the adapters that are applied to them.
    fn planned_inputs(&self) -> Vec<PlannedInput> {
        let adapters = self.adapters();
        let planned = |name: &str, model: usize, fingerprint: &str, adapter| PlannedInput {
            name: name.to_owned(),
            model,
            fingerprint: fingerprint.to_owned(),
            adapter,
        };
        let adapter = |input: &Input<'_>| {
            let applied = input.adapter.as_ref()?;
            Some(self.inputs.len() + adapters.iter().position(|(_, index, _)| *index == applied.index)?)
        };
        let inputs =
            self.inputs.iter().map(|input| planned(&input.name, input.index, &input.model.fingerprint, adapter(input)));
        inputs
            .chain(adapters.iter().map(|(name, index, model)| planned(name, *index, &model.fingerprint, None)))
            .collect()
    }

    /// The adapters: name in the recipe, index and model; each once.
    fn adapters(&self) -> Vec<(&str, usize, &'a Model)> {
        let mut adapters: Vec<(&str, usize, &Model)> = Vec::new();
        for input in &self.inputs {
            if let (Some(applied), Some(name)) = (&input.adapter, split_adapter(&input.name).1)
                && adapters.iter().all(|(_, index, _)| *index != applied.index)
            {
                adapters.push((name, applied.index, applied.model));
            }
        }
        adapters
    }

    /// The output's shape of a tensor: a vocabulary's has as many rows as were aligned.
    fn shape(&self, name: &str, tensor: &Tensor) -> Vec<u64> {
        let mut shape = tensor.shape.clone();
        if let (Some(alignment), Some(rows), true) = (&self.alignment, shape.first_mut(), is_vocabulary(name)) {
            *rows = alignment.rows;
        }
        shape
    }

    /// A tensor of the output, not yet laid out.
    fn job(
        &self,
        name: &str,
        dtype: DType,
        rule: Rule,
        found: &[Found<'_, '_>],
        base: Option<usize>,
        row_maps: &mut RowMaps,
    ) -> Result<Job, PlanError> {
        let adapters = self.adapters();
        let source = |found: &Found<'_, '_>| {
            let (number, input) = (found.member.input, &self.inputs[found.member.input]);
            let index = input.adapter.as_ref().map(|applied| applied.index);
            let adapter =
                adapters.iter().position(|(_, of, _)| Some(*of) == index).map_or(0, |at| self.inputs.len() + at);
            sources::source(input, number, adapter, found.name, found.tensor)
        };
        let mut sources: Vec<SourceTensor> = found.iter().map(source).collect();
        if let (Some(alignment), true) = (&self.alignment, is_vocabulary(name)) {
            let present: Vec<usize> = found.iter().map(|found| found.member.input).collect();
            let rows: Vec<u64> = found.iter().map(|found| found.tensor.shape.first().copied().unwrap_or(1)).collect();
            row_maps.apply(alignment, &present, base, &rows, &mut sources)?;
        }
        let shape = self.shape(name, found[0].tensor);
        let len = shape.iter().product::<u64>() * dtype.size();
        Ok(Job { name: name.to_owned(), shape, dtype, rule, sources, file: 0, offset: 0, len })
    }

    fn tensor(
        &self,
        wanted: &Wanted<'_, 'a>,
        used: &mut BTreeSet<(usize, &'a str)>,
        draft: &mut Draft,
    ) -> Result<(), PlanError> {
        let name = wanted.name.as_str();
        let members = wanted.group.members.iter().zip(&wanted.lookups);
        let found: Vec<Found<'_, 'a>> = members
            .clone()
            .filter_map(|(member, lookup)| {
                let (name, tensor) = self.inputs[member.input].model.find(lookup)?;
                Some(Found { member, name, tensor })
            })
            .collect();
        used.extend(found.iter().map(|found| (found.member.input, found.name)));
        let donor = self.inputs[self.donor].model;
        if donor.is_head(name) && !donor.tensors.contains_key(name) && donor.is_tied() {
            draft.left_out.extend(found.iter().filter(|found| donor.is_head(found.name)).map(|found| LeftOut {
                input: found.member.input,
                tensor: found.name.to_owned(),
                reason: LeftOutReason::Tied,
            }));
            return Ok(());
        }
        self.check_alike(name, &found)?;
        let missing: Vec<String> = members
            .filter(|(member, _)| !found.iter().any(|found| found.member.input == member.input))
            .map(|(member, _)| self.inputs[member.input].name.clone())
            .collect();
        let first = found[0].tensor;
        let (rule, dtype, used) = if first.dtype.is_float() {
            self.float_rule(wanted, &found, &missing)?
        } else {
            (Rule::Copy(CopyReason::NotFloat), first.dtype, (0..found.len()).collect())
        };
        if !missing.is_empty() {
            draft.notices.push(PlanNotice::Missing { tensor: name.to_owned(), inputs: missing });
        }
        let used: Vec<Found<'_, '_>> = used.into_iter().map(|used| found[used]).collect();
        draft.jobs.push(self.job(name, dtype, rule, &used, wanted.group.named_base, &mut draft.row_maps)?);
        Ok(())
    }

    /// Same shape, same kind of numbers, and a type that is known.
    fn check_alike(&self, name: &str, found: &[Found<'_, '_>]) -> Result<(), PlanError> {
        let first = &found[0];
        for other in found {
            let (first_dtype, second_dtype) = (first.tensor.dtype, other.tensor.dtype);
            if first_dtype != second_dtype && !(first_dtype.is_float() && second_dtype.is_float()) {
                return Err(PlanError::KindsDiffer {
                    tensor: name.to_owned(),
                    first: self.inputs[first.member.input].name.clone(),
                    first_dtype,
                    second: self.inputs[other.member.input].name.clone(),
                    second_dtype,
                });
            }
            let aligned = usize::from(self.alignment.is_some() && is_vocabulary(name));
            if first.tensor.shape.get(aligned..) != other.tensor.shape.get(aligned..) {
                let (a, b) = (&first.tensor.shape, &other.tensor.shape);
                return Err(PlanError::ShapesDiffer {
                    tensor: name.to_owned(),
                    first: self.inputs[first.member.input].name.clone(),
                    first_shape: a.clone(),
                    second: self.inputs[other.member.input].name.clone(),
                    second_shape: b.clone(),
                    vocabulary: is_vocabulary(name) && a.get(1..) == b.get(1..),
                });
            }
        }
        Ok(())
    }

    /// The rule for a tensor of floats, its type, and which of its sources are used.
    fn float_rule(
        &self,
        wanted: &Wanted<'_, '_>,
        found: &[Found<'_, '_>],
        missing: &[String],
    ) -> Result<(Rule, DType, Vec<usize>), PlanError> {
        let name = wanted.name.as_str();
        let dtype = self.dtype(found);
        let base = match wanted.group.base {
            None => None,
            Some(base) => match found.iter().position(|found| found.member.input == base) {
                None if self.method.missing() == Missing::CopySingle && found.len() == 1 => None,
                None => {
                    return Err(PlanError::MissingInBase {
                        tensor: name.to_owned(),
                        input: self.inputs[found[0].member.input].name.clone(),
                        base: self.inputs[base].name.clone(),
                    });
                }
                present => present,
            },
        };
        let all = || (0..found.len()).collect();
        if !missing.is_empty() {
            match (self.method.missing(), base) {
                (Missing::CopySingle, _) if found.len() == 1 => {
                    return Ok((Rule::Copy(CopyReason::OnlyOne), dtype, all()));
                }
                (Missing::CopySingle, _) => {
                    return Err(PlanError::MissingTensor { tensor: name.to_owned(), missing: missing.to_vec() });
                }
                (Missing::MergeRest, Some(base)) if found.len() - 1 < self.info.models.0.max(1) => {
                    return Ok((Rule::Copy(CopyReason::OnlyBase), dtype, vec![base]));
                }
                (Missing::MergeRest, _) => {}
            }
        }
        let parameters = self.parameters(wanted, found)?;
        if self.method.copies(&parameters) {
            return Ok((Rule::Copy(CopyReason::Untouched), dtype, all()));
        }
        let coins = if self.method.draws_coins() {
            found.iter().map(|found| coin::key(self.seed, name, found.member.input)).collect()
        } else {
            Vec::new()
        };
        let shape = self.shape(name, found[0].tensor);
        let inputs = TensorInputs { shape: &shape, base, parameters: &parameters, coins: &coins };
        self.method.check(&inputs).map_err(|refusal| match refusal {
            Refusal::ZeroWeights => PlanError::ZeroWeights { tensor: name.to_owned() },
            Refusal::NotWhole { parameter, value } => PlanError::BadValue {
                parameter: parameter.to_owned(),
                value: value.to_string(),
                tensor: name.to_owned(),
                input: None,
                expected: Expected::Whole,
            },
            Refusal::Chances { input, density, epsilon } => {
                let input = self.inputs[found[input].member.input].name.clone();
                PlanError::Chances { tensor: name.to_owned(), input, density, epsilon }
            }
        })?;
        let wide =
            self.recipe.dtype == Some(FloatName::Float64) || found.iter().any(|found| found.tensor.dtype == DType::F64);
        let precision = if wide { Precision::F64 } else { Precision::F32 };
        let out = float_of(dtype).unwrap_or(Float::F32);
        Ok((Rule::Merge(MergeRule { base, parameters, coins, precision, out }), dtype, all()))
    }

    fn parameters(&self, wanted: &Wanted<'_, '_>, found: &[Found<'_, '_>]) -> Result<method::Resolved, PlanError> {
        let sources = found
            .iter()
            .map(|found| parameters::SubjectSource {
                input: &self.inputs[found.member.input].name,
                settings: found.member.settings,
                tensor: found.name,
                is_base: wanted.group.base == Some(found.member.input),
            })
            .collect();
        let subject = parameters::Subject { tensor: &wanted.name, t: wanted.t, sources };
        parameters::resolve(&self.info, &wanted.group.scopes, &subject)
    }

    fn notices(&self, tokenizers: &BTreeMap<usize, TokenizerFiles>) -> Vec<PlanNotice> {
        let donor = &self.inputs[self.donor];
        let mut notices = Vec::new();
        match &self.alignment {
            Some(alignment) => notices.extend(alignment.notices.iter().cloned().map(PlanNotice::Vocabulary)),
            None => notices.extend(vocabulary::differences(&self.inputs, self.donor, tokenizers)),
        }
        if donor.model.config.is_none() {
            notices.push(PlanNotice::NoConfig { input: donor.name.clone() });
        }
        let tokenized =
            donor.model.companions.keys().any(|name| name.starts_with("tokenizer.") || name.starts_with("vocab."));
        if !tokenized && self.alignment.is_none() {
            notices.push(PlanNotice::NoTokenizer { input: donor.name.clone() });
        }
        notices
    }
}

/// Which layer of which input gives each layer of the output: the first source's of its slice.
fn layer_sources(groups: &[Group<'_>]) -> Vec<LayerSource> {
    let of_group = |group: &Group<'_>| {
        let first = group.members.first().map(|member| (member.input, member.first));
        let layers = group.layers;
        first
            .into_iter()
            .flat_map(move |(input, first)| (0..layers).map(move |layer| LayerSource { input, layer: first + layer }))
    };
    groups.iter().flat_map(of_group).collect()
}

fn dtype_of(name: FloatName) -> DType {
    match name {
        FloatName::Float16 => DType::F16,
        FloatName::Bfloat16 => DType::BF16,
        FloatName::Float32 => DType::F32,
        FloatName::Float64 => DType::F64,
    }
}

/// The kernel's name of a float type; `None` for integers.
pub fn float_of(dtype: DType) -> Option<Float> {
    match dtype {
        DType::F16 => Some(Float::F16),
        DType::BF16 => Some(Float::BF16),
        DType::F32 => Some(Float::F32),
        DType::F64 => Some(Float::F64),
        _ => None,
    }
}
