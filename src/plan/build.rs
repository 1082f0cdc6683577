//! Making the plan: which tensors there are, where each comes from, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CopyReason, Expected, Job, LeftOut, LeftOutReason, MergeRule, Plan, PlanError, PlanNotice, PlanOptions,
    PlannedInput, Rule, SourceTensor, coin, layout, parameters,
};
use crate::format::{DType, in_order};
use crate::kernel::{Float, Precision};
use crate::method::{self, Method, Missing, Refusal, TensorInputs};
use crate::model::{Model, Place, Tensor};
use crate::recipe::{BaseUse, FloatName, MethodInfo, ModelEntry, Recipe};

/// The recipe's models in the order of [`Plan::inputs`]: its list, then a base that the list lacks.
pub fn input_names(recipe: &Recipe) -> Vec<String> {
    let mut names: Vec<String> = recipe.models.iter().map(|entry| entry.model.clone()).collect();
    if let Some(base) = &recipe.base_model
        && !names.contains(base)
    {
        names.push(base.clone());
    }
    names
}

/// Plans a merge. `binding` says which of `models` each name of the recipe stands for.
///
/// # Errors
/// Everything that would make the merge fail is found here, before any weight is read: see [`PlanError`].
pub fn plan(
    recipe: &Recipe,
    models: &[Model],
    binding: &BTreeMap<String, usize>,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    let method =
        method::find(&recipe.merge_method).ok_or_else(|| PlanError::UnknownMethod(recipe.merge_method.clone()))?;
    let planner = Planner::new(recipe, method, models, binding, options.seed)?;
    let mut draft = Draft::default();
    for name in planner.tensor_names() {
        planner.tensor(&name, &mut draft)?;
    }
    if draft.jobs.is_empty() {
        return Err(PlanError::NothingToMerge);
    }
    let (jobs, files) = layout::assign(draft.jobs, options.shard_size, &options.metadata);
    let notices = planner.notices().chain(draft.notices).collect();
    Ok(Plan {
        method: recipe.merge_method.clone(),
        inputs: planner
            .inputs
            .iter()
            .map(|input| PlannedInput {
                name: input.name.clone(),
                model: input.index,
                fingerprint: input.model.fingerprint.clone(),
                adapter: None,
            })
            .collect(),
        donor: planner.donor,
        jobs,
        files,
        left_out: draft.left_out,
        notices,
        seed: options.seed,
        row_maps: Vec::new(),
    })
}

#[derive(Default)]
struct Draft {
    jobs: Vec<Job>,
    left_out: Vec<LeftOut>,
    notices: Vec<PlanNotice>,
}

struct Input<'a> {
    name: String,
    index: usize,
    model: &'a Model,
    entry: Option<&'a ModelEntry>,
}

struct Planner<'a> {
    recipe: &'a Recipe,
    method: &'static dyn Method,
    info: MethodInfo,
    inputs: Vec<Input<'a>>,
    /// The base of a method that works from one.
    base: Option<usize>,
    donor: usize,
    seed: u64,
}

/// One input's tensor behind an output name.
struct Found<'a> {
    input: usize,
    name: &'a str,
    tensor: &'a Tensor,
}

impl<'a> Planner<'a> {
    fn new(
        recipe: &'a Recipe,
        method: &'static dyn Method,
        models: &'a [Model],
        binding: &BTreeMap<String, usize>,
        seed: u64,
    ) -> Result<Self, PlanError> {
        let info = method.info();
        let names = input_names(recipe);
        if info.base == BaseUse::Required && recipe.base_model.is_none() {
            return Err(PlanError::BaseMissing { method: info.id.to_owned() });
        }
        let (least, most) = info.models;
        let others = names.len() - usize::from(info.has_base() && recipe.base_model.is_some());
        if others < least || most.is_some_and(|most| others > most) {
            return Err(PlanError::ModelCount { method: info.id.to_owned(), least, most, found: others });
        }
        let mut inputs = Vec::with_capacity(names.len());
        for name in names {
            let bound = binding.get(&name).and_then(|&index| Some((index, models.get(index)?)));
            let (index, model) = bound.ok_or_else(|| PlanError::Unbound(name.clone()))?;
            let entry = recipe.models.iter().find(|entry| entry.model == name);
            inputs.push(Input { name, index, model, entry });
        }
        let named_base =
            recipe.base_model.as_ref().and_then(|base| inputs.iter().position(|input| input.name == *base));
        let base = named_base.filter(|_| info.has_base());
        if let Some(other) = inputs.iter().find(|input| input.model.layers() != inputs[0].model.layers()) {
            return Err(PlanError::LayersDiffer {
                first: inputs[0].name.clone(),
                first_layers: inputs[0].model.layers(),
                second: other.name.clone(),
                second_layers: other.model.layers(),
            });
        }
        Ok(Self { recipe, method, info, inputs, base, donor: named_base.unwrap_or(0), seed })
    }

    /// The output's tensors: the donor's in the order of their bytes, then those that only other inputs have. Names of the other
    /// inputs that are aliases of one already listed are not listed again.
    fn tensor_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut taken: BTreeSet<(usize, &str)> = BTreeSet::new();
        let others = (0..self.inputs.len()).filter(|&input| input != self.donor);
        for input in std::iter::once(self.donor).chain(others) {
            let model = self.inputs[input].model;
            let own: Vec<(&String, &Tensor)> = model.tensors.iter().collect();
            // Files first: no file has 2⁴⁸ bytes.
            for (name, _) in in_order(own, |(_, tensor)| (tensor.file as u64) << 48 | tensor.offset) {
                if !taken.insert((input, name)) {
                    continue;
                }
                for (other, Input { model, .. }) in self.inputs.iter().enumerate() {
                    // A head may be read from the embedding it is tied to; that does not use the embedding up.
                    if let Some((alias, _)) = model.find(name)
                        && model.is_head(alias) == model.is_head(name)
                    {
                        taken.insert((other, alias));
                    }
                }
                names.push(name.clone());
            }
        }
        names
    }

    fn tensor(&self, name: &str, draft: &mut Draft) -> Result<(), PlanError> {
        let found: Vec<Found<'_>> = self
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(input, Input { model, .. })| {
                let (name, tensor) = model.find(name)?;
                Some(Found { input, name, tensor })
            })
            .collect();
        let donor = self.inputs[self.donor].model;
        if donor.is_head(name) && !donor.tensors.contains_key(name) && is_tied(donor) {
            draft.left_out.extend(found.iter().filter(|found| donor.is_head(found.name)).map(|found| LeftOut {
                input: found.input,
                tensor: found.name.to_owned(),
                reason: LeftOutReason::Tied,
            }));
            return Ok(());
        }
        self.check_alike(name, &found)?;
        let missing: Vec<String> = (0..self.inputs.len())
            .filter(|input| !found.iter().any(|found| found.input == *input))
            .map(|input| self.inputs[input].name.clone())
            .collect();
        let first = found[0].tensor;
        let (rule, dtype, used) = if first.dtype.is_float() {
            self.float_rule(name, &found, &missing)?
        } else {
            (Rule::Copy(CopyReason::NotFloat), first.dtype, (0..found.len()).collect())
        };
        if !missing.is_empty() {
            draft.notices.push(PlanNotice::Missing { tensor: name.to_owned(), inputs: missing });
        }
        let elements: u64 = first.shape.iter().product();
        draft.jobs.push(Job {
            name: name.to_owned(),
            shape: first.shape.clone(),
            dtype,
            rule,
            sources: used
                .into_iter()
                .map(|used| &found[used])
                .map(|found| SourceTensor {
                    input: found.input,
                    name: found.name.to_owned(),
                    dtype: found.tensor.dtype,
                    file: found.tensor.file,
                    offset: found.tensor.offset,
                    len: found.tensor.len,
                    assembly: None,
                })
                .collect(),
            file: 0,
            offset: 0,
            len: elements * dtype.size(),
        });
        Ok(())
    }

    /// Same shape, same kind of numbers, and a type that is known.
    fn check_alike(&self, name: &str, found: &[Found<'_>]) -> Result<(), PlanError> {
        let first = &found[0];
        for other in found {
            let (first_dtype, second_dtype) = (first.tensor.dtype, other.tensor.dtype);
            if matches!(second_dtype, DType::F8E4M3 | DType::F8E5M2) {
                return Err(PlanError::UnsupportedType {
                    tensor: name.to_owned(),
                    input: self.inputs[other.input].name.clone(),
                    dtype: second_dtype,
                });
            }
            if first_dtype != second_dtype && !(first_dtype.is_float() && second_dtype.is_float()) {
                return Err(PlanError::KindsDiffer {
                    tensor: name.to_owned(),
                    first: self.inputs[first.input].name.clone(),
                    first_dtype,
                    second: self.inputs[other.input].name.clone(),
                    second_dtype,
                });
            }
            if first.tensor.shape != other.tensor.shape {
                let (a, b) = (&first.tensor.shape, &other.tensor.shape);
                let model = self.inputs[first.input].model;
                let embeds = model.is_head(name) || model.place(name) == Place::Before;
                return Err(PlanError::ShapesDiffer {
                    tensor: name.to_owned(),
                    first: self.inputs[first.input].name.clone(),
                    first_shape: a.clone(),
                    second: self.inputs[other.input].name.clone(),
                    second_shape: b.clone(),
                    vocabulary: embeds && a.len() == 2 && b.len() == 2 && a[1] == b[1],
                });
            }
        }
        Ok(())
    }

    /// The rule for a tensor of floats, its type, and which of its sources are used.
    fn float_rule(
        &self,
        name: &str,
        found: &[Found<'_>],
        missing: &[String],
    ) -> Result<(Rule, DType, Vec<usize>), PlanError> {
        let promoted =
            found.iter().skip(1).fold(found[0].tensor.dtype, |dtype, other| dtype.promote(other.tensor.dtype));
        let dtype = self.recipe.out_dtype.or(self.recipe.dtype).map_or(promoted, dtype_of);
        let base = match self.base {
            None => None,
            Some(base) => match found.iter().position(|found| found.input == base) {
                None if self.method.missing() == Missing::CopySingle && found.len() == 1 => None,
                None => {
                    return Err(PlanError::MissingInBase {
                        tensor: name.to_owned(),
                        input: self.inputs[found[0].input].name.clone(),
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
        let parameters = self.parameters(name, found)?;
        if self.method.copies(&parameters) {
            return Ok((Rule::Copy(CopyReason::Untouched), dtype, all()));
        }
        let coins = if self.method.draws_coins() {
            found.iter().map(|found| coin::key(self.seed, name, found.input)).collect()
        } else {
            Vec::new()
        };
        let inputs = TensorInputs { shape: &found[0].tensor.shape, base, parameters: &parameters, coins: &coins };
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
                let input = self.inputs[found[input].input].name.clone();
                PlanError::Chances { tensor: name.to_owned(), input, density, epsilon }
            }
        })?;
        let wide =
            self.recipe.dtype == Some(FloatName::Float64) || found.iter().any(|found| found.tensor.dtype == DType::F64);
        let precision = if wide { Precision::F64 } else { Precision::F32 };
        let out = float_of(dtype).unwrap_or(Float::F32);
        Ok((Rule::Merge(MergeRule { base, parameters, coins, precision, out }), dtype, all()))
    }

    fn parameters(&self, name: &str, found: &[Found<'_>]) -> Result<method::Resolved, PlanError> {
        let donor = self.inputs[self.donor].model;
        // Embeddings, final norm and head stand at t = 0; so says mergekit, also of the end.
        let t = match (donor.place(name), donor.layers()) {
            (Place::Layer(_), 0 | 1) => 1.0,
            (Place::Layer(layer), layers) => layer as f64 / (layers - 1) as f64,
            _ => 0.0,
        };
        let sources = found
            .iter()
            .map(|found| parameters::SubjectSource {
                input: &self.inputs[found.input].name,
                entry: self.inputs[found.input].entry,
                tensor: found.name,
                is_base: self.base == Some(found.input),
            })
            .collect();
        parameters::resolve(&self.info, &self.recipe.parameters, &parameters::Subject { tensor: name, t, sources })
    }

    fn notices(&self) -> impl Iterator<Item = PlanNotice> {
        let donor = &self.inputs[self.donor];
        let differ: Vec<String> = match &donor.model.vocabulary {
            None => Vec::new(),
            Some(own) => self
                .inputs
                .iter()
                .filter(|input| {
                    input.model.vocabulary.as_ref().is_some_and(|vocabulary| vocabulary.sha256 != own.sha256)
                })
                .map(|input| input.name.clone())
                .collect(),
        };
        let tokenizers = (!differ.is_empty()).then_some(PlanNotice::TokenizersDiffer { inputs: differ });
        let config = donor.model.config.is_none().then(|| PlanNotice::NoConfig { input: donor.name.clone() });
        let tokenized =
            donor.model.companions.keys().any(|name| name.starts_with("tokenizer.") || name.starts_with("vocab."));
        let tokenizer = (!tokenized).then(|| PlanNotice::NoTokenizer { input: donor.name.clone() });
        [tokenizers, config, tokenizer].into_iter().flatten()
    }
}

fn is_tied(model: &Model) -> bool {
    model.config.as_ref().is_some_and(|config| config.tied == Some(true))
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
