//! Sources that are more than a stretch of a file: models with an adapter, and tensors whose rows are those of a vocabulary.

use std::collections::BTreeMap;

use super::groups::Input;
use super::vocabulary::{self, Alignment, VocabularyInput};
use super::{Assembly, LowRank, PlanError, RowMap, RowOrigin, SourceTensor};
use crate::model::tokenizer::TokenizerFiles;
use crate::model::{Model, Patch, Tensor};
use crate::recipe::Recipe;

/// An adapter that is applied to a model.
pub(super) struct Applied<'a> {
    /// Index of its folder among the opened models.
    pub index: usize,
    pub model: &'a Model,
    /// What it does to each tensor of the model that it changes.
    pub patches: BTreeMap<String, Patch>,
}

/// `tensor`, called `name`, of `input` number `number`, as the method gets it. `adapter` is the number of the input's adapter.
pub(super) fn source(input: &Input<'_>, number: usize, adapter: usize, name: &str, tensor: &Tensor) -> SourceTensor {
    let mut source = stored(number, name, tensor);
    let Some(applied) = &input.adapter else { return source };
    let Some(patch) = applied.patches.get(name) else { return source };
    // Patches name tensors that the adapter has.
    let of_adapter = |name: &str| applied.model.tensors.get(name).map(|tensor| stored(adapter, name, tensor));
    if let Some(replacement) = patch.replacement.as_deref().and_then(of_adapter) {
        source = replacement;
    }
    if let Some(change) = &patch.change
        && let (Some(down), Some(up)) = (of_adapter(&change.down), of_adapter(&change.up))
    {
        let (rank, scale, transposed) = (change.rank, change.scale, change.transposed);
        let change = Some(LowRank { down, up, rank, scale, transposed });
        source.assembly = Some(Box::new(Assembly { change, rows: None }));
    }
    source
}

/// A tensor as it lies in its file.
fn stored(input: usize, name: &str, tensor: &Tensor) -> SourceTensor {
    SourceTensor {
        input,
        name: name.to_owned(),
        dtype: tensor.dtype,
        file: tensor.file,
        offset: tensor.offset,
        len: tensor.len,
        assembly: None,
    }
}

/// Aligns the inputs' vocabularies, if the recipe asks for it. `tokenizers` are those of the opened models by their index.
pub(super) fn align(
    recipe: &Recipe,
    inputs: &[Input<'_>],
    tokenizers: &BTreeMap<usize, TokenizerFiles>,
) -> Result<Option<Alignment>, PlanError> {
    let Some(rule) = &recipe.tokenizer else { return Ok(None) };
    let of = |input: &Input<'_>| VocabularyInput::of(&input.name, input.model, tokenizers.get(&input.index));
    let known: Vec<VocabularyInput> = inputs.iter().map(of).collect();
    let base = recipe.base_model.as_ref().and_then(|base| inputs.iter().position(|input| input.name == *base));
    vocabulary::align(rule, &known, base).map(Some).map_err(|error| PlanError::Vocabulary(Box::new(error)))
}

/// The row maps of a plan; tensors with the same sources share theirs.
#[derive(Default)]
pub(super) struct RowMaps {
    pub maps: Vec<RowMap>,
    known: Vec<Known>,
}

/// Sources whose maps were made.
struct Known {
    /// The inputs that they are of, then those that their bytes are of.
    inputs: Vec<usize>,
    base: Option<usize>,
    /// The map of each; none where the rows are as they are.
    maps: Vec<Option<usize>>,
}

impl RowMaps {
    /// Gives the sources of a vocabulary's tensor their rows. `present` are the recipe's inputs that they are of, in their order;
    /// `rows` is how many each has.
    pub fn apply(
        &mut self,
        alignment: &Alignment,
        present: &[usize],
        base: Option<usize>,
        rows: &[u64],
        sources: &mut [SourceTensor],
    ) -> Result<(), PlanError> {
        let inputs: Vec<usize> = present.iter().copied().chain(sources.iter().map(|source| source.input)).collect();
        let known = self.known.iter().position(|known| known.inputs == inputs && known.base == base);
        let known = match known {
            Some(known) => known,
            None => self.make(alignment, present, base, rows, inputs)?,
        };
        for (source, map) in sources.iter_mut().zip(&self.known[known].maps) {
            if map.is_some() {
                source.assembly.get_or_insert_default().rows = *map;
            }
        }
        Ok(())
    }

    fn make(
        &mut self,
        alignment: &Alignment,
        present: &[usize],
        base: Option<usize>,
        rows: &[u64],
        inputs: Vec<usize>,
    ) -> Result<usize, PlanError> {
        let made = alignment.row_maps(present, base).map_err(|error| PlanError::Vocabulary(Box::new(error)))?;
        let mut maps = Vec::with_capacity(made.len());
        for (mut map, rows) in made.into_iter().zip(rows) {
            if map.runs == [(*rows, RowOrigin::Own(0))] {
                maps.push(None);
                continue;
            }
            // A replaced tensor's bytes are the adapter's: rows of it are found under that input.
            for (_, origin) in &mut map.runs {
                let RowOrigin::Mean(of) = origin else { continue };
                for (input, _) in of {
                    let at = present.iter().position(|known| known == input);
                    *input = at.map_or(*input, |at| inputs[present.len() + at]);
                }
            }
            maps.push(Some(self.maps.len()));
            self.maps.push(map);
        }
        self.known.push(Known { inputs, base, maps });
        Ok(self.known.len() - 1)
    }
}
