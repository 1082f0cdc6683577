//! Aligning vocabularies: the output's tokenizer, and for every input which of its rows stands for which token of it.
//!
//! A token has the row of its own in each model that has the token. For the others its row comes from the recipe's rule, or from
//! the only model that has it, from the base, or it is the mean of all that have it; a token that no model has is zeros.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::groups::Input;
use super::{Plan, PlanNotice, RowMap, RowOrigin, TokenDifference};
use crate::format::{in_order, set_of};
use crate::model::Model;
use crate::model::tokenizer::{AddedToken, Renumbered, Tokenizer, TokenizerError, TokenizerFiles};
use crate::recipe::{Recipe, TokenRule, TokenSource, TokenizerRule, TokenizerSource};

/// What is known of one input's vocabulary.
#[derive(Clone, Debug)]
pub struct VocabularyInput {
    /// Its name in the recipe.
    pub name: String,
    /// Its tokenizer, or why there is none.
    pub tokenizer: Result<Tokenizer, TokenizerError>,
    /// `vocab_size` of its config.json: tokens with that id and higher ones have no embedding.
    pub vocab_size: Option<u64>,
    /// How many rows its embedding has.
    pub rows: u64,
}

impl VocabularyInput {
    /// That of `model`, which the recipe calls `name`.
    pub fn of(name: &str, model: &Model, files: Option<&TokenizerFiles>) -> Self {
        Self {
            name: name.to_owned(),
            tokenizer: files.map_or(Err(TokenizerError::Missing), Tokenizer::of),
            vocab_size: model.config.as_ref().and_then(|config| config.vocab_size),
            rows: model.vocabulary_rows(),
        }
    }

    /// Ids from here on stand for no row.
    fn limit(&self) -> u64 {
        self.vocab_size.map_or(self.rows, |vocab_size| vocab_size.min(self.rows))
    }
}

/// Why vocabularies cannot be aligned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs)] // The messages name the fields.
pub enum VocabularyError {
    /// A tokenizer that the output cannot do without is missing, or cannot be read.
    #[error("the tokenizer of {input}: {error}")]
    Tokenizer { input: String, error: TokenizerError },
    /// The recipe takes a tokenizer or an embedding from a model that is not among its models.
    #[error("the tokenizer section names {model}, which is none of the recipe's models")]
    UnknownModel { model: String },
    /// A token's embedding is to come from a model that does not have the token.
    #[error("the embedding of {token:?} is to come from {source_token:?} of {model}, which has no such token")]
    TokenNotThere { token: String, model: String, source_token: String },
    /// A token's embedding is to come from a row that is not there.
    #[error("the embedding of {token:?} is to come from row {id} of {model}, which has {rows} rows")]
    RowNotThere { token: String, model: String, id: u64, rows: u64 },
    /// A token's embedding is to come from a model that lacks the tensor.
    #[error("the embedding of {token:?} is to come from {model}, which lacks this tensor")]
    TensorNotThere { token: String, model: String },
    /// The output's vocabulary is of no possible size.
    #[error("padding {tokens} tokens to a multiple of {multiple} makes more rows than there can be")]
    TooManyRows { tokens: u64, multiple: u64 },
}

/// What a person should know about aligned vocabularies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[allow(missing_docs)] // The messages name the fields.
pub enum VocabularyNotice {
    /// An input's tokenizer is missing or cannot be read.
    #[error("{input} is taken to have the base's tokenizer, since its own cannot be used: {error}")]
    TakenForTheBases { input: String, error: TokenizerError },
    /// An input's tokenizer has tokens that its embedding has no rows for; the first of them in the order of the output's ids.
    #[error(
        "{tokens} tokens of {input}'s tokenizer have no row in its embedding ({first:?} is one): they are taken as missing there"
    )]
    BeyondRows { input: String, tokens: u64, first: String },
    /// Tokens that no input has a row for, and the recipe no rule.
    #[error("{tokens} tokens have no row in any model ({first:?} is one): their rows are zeros")]
    InNoModel { tokens: u64, first: String },
    /// Inputs disagree about how an added token is found.
    #[error("{input} finds the added token {token:?} in another way than a model before it, whose way is taken")]
    FoundDifferently { token: String, input: String },
    /// tokenizer.json gives an added token another id than it gets when it is loaded.
    #[error("tokenizer.json of {input} says that {:?} is {}, but it is {} once it is loaded: that counts", .token.token, .token.written, .token.id)]
    Renumbered { input: String, token: Renumbered },
    /// The configuration of the output's tokenizer names special tokens that have no row: whoever loads it gets ids for them that the
    /// model does not know.
    #[error("the tokenizer's configuration names special tokens that have no row in the output: {}", .tokens.join(", "))]
    SpecialWithoutRow { tokens: Vec<String> },
    /// The output's ids skip numbers.
    #[error("the ids of the tokens skip {rows} numbers: rows of zeros stand there")]
    Gaps { rows: u64 },
}

/// Vocabularies that were aligned: the output's tokenizer, and where every input has its tokens.
#[derive(Clone, Debug)]
pub struct Alignment {
    /// The output's tokenizer.
    pub tokenizer: Tokenizer,
    /// The input (as [`VocabularyInput`]s count) whose tokenizer it is made from, and whose files the output takes over.
    pub source: usize,
    /// The tokens that were added to that input's.
    pub added: Vec<String>,
    /// How many rows stand for tokens.
    pub tokens: u64,
    /// How many rows embedding and head have: tokens and padding. This is the output's `vocab_size`.
    pub rows: u64,
    /// What a person should know.
    pub notices: Vec<VocabularyNotice>,
    names: Vec<String>,
    /// By input and row of the output: the row of the input.
    permutations: Vec<Permutation>,
    /// Rows of the output with a rule of their own.
    rules: BTreeMap<usize, Special>,
}

/// By row of the output, the row of an input that stands for the same token. Ids are far below 2³².
type Permutation = Vec<Option<u32>>;

/// A token's rule, with its source found.
#[derive(Clone, Debug)]
struct Special {
    token: String,
    force: bool,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// As for any other token.
    Any,
    Zero,
    /// A row of an input, or why that row cannot be: it matters only where the row is needed.
    Row(usize, Result<u64, VocabularyError>),
}

/// Aligns the vocabularies of `inputs`, in the order of [`super::Plan::inputs`]. `base` is the recipe's base_model; without one,
/// the first input's tokenizer is built on.
///
/// # Errors
/// See [`VocabularyError`].
pub fn align(
    rule: &TokenizerRule,
    inputs: &[VocabularyInput],
    base: Option<usize>,
) -> Result<Alignment, VocabularyError> {
    let tokenizer_of = |input: usize| match inputs.get(input).map(|known| (known, &known.tokenizer)) {
        Some((_, Ok(tokenizer))) => Ok(tokenizer.clone()),
        Some((known, Err(error))) => {
            Err(VocabularyError::Tokenizer { input: known.name.clone(), error: error.clone() })
        }
        None => Err(VocabularyError::UnknownModel { model: String::new() }),
    };
    let by_name = |model: &str| {
        let found = inputs.iter().position(|input| input.name == model);
        found.ok_or_else(|| VocabularyError::UnknownModel { model: model.to_owned() })
    };
    let root = base.unwrap_or(0);
    let mut notices = Vec::new();
    let mut own = tokenizer_of(root)?;
    if let Some(vocab_size) = inputs[root].vocab_size {
        own.strip(vocab_size)
            .map_err(|error| VocabularyError::Tokenizer { input: inputs[root].name.clone(), error })?;
    }
    let (source, mut tokenizer) = match &rule.source {
        TokenizerSource::Base => (root, own.clone()),
        TokenizerSource::Union => (root, union(&own, root, inputs, &mut notices)),
        TokenizerSource::Model(model) => {
            let source = by_name(model)?;
            (source, tokenizer_of(source)?)
        }
    };
    for (token, _) in &rule.tokens {
        if !tokenizer.ids().contains_key(token) {
            tokenizer.add(AddedToken::plain(token));
        }
    }
    if let Some(input) = inputs.get(source)
        && let Ok(before) = &input.tokenizer
        && !before.has_json()
    {
        let error = TokenizerError::NoTokenizerJson;
        return Err(VocabularyError::Tokenizer { input: input.name.clone(), error });
    }

    let last = tokenizer.ids().values().max().map_or(0, |id| id + 1);
    let tokens = tokenizer.len().max(last);
    let rows = padded(tokens, rule.pad_to_multiple_of)?;
    let mut permutations = Vec::with_capacity(inputs.len());
    let mut vocabularies = Vec::with_capacity(inputs.len());
    for (index, input) in inputs.iter().enumerate() {
        let vocabulary = match &input.tokenizer {
            _ if index == root => &own,
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                notices.push(VocabularyNotice::TakenForTheBases { input: input.name.clone(), error: error.clone() });
                &own
            }
        };
        if let Ok(tokenizer) = &input.tokenizer
            && let Some(token) = tokenizer.renumbered()
        {
            notices.push(VocabularyNotice::Renumbered { input: input.name.clone(), token: token.clone() });
        }
        permutations.push(permutation(&tokenizer, tokens, vocabulary, input, &mut notices));
        vocabularies.push(vocabulary);
    }

    let mut rules = BTreeMap::new();
    for (token, rule) in &rule.tokens {
        let Some(&row) = tokenizer.ids().get(token) else { continue }; // An empty text is no token.
        let source = special(token, row, rule, inputs, &permutations, &vocabularies, by_name)?;
        rules.insert(row as usize, Special { token: token.clone(), force: rule.force, source });
    }

    let mut taken = vec![false; tokens as usize];
    let mut nowhere: Vec<(&str, u64)> = Vec::new();
    for (token, &row) in tokenizer.ids() {
        taken[row as usize] = true;
        let has_rule = rules.get(&(row as usize)).is_some_and(|rule| !matches!(rule.source, Source::Any));
        if !has_rule && permutations.iter().all(|permutation| permutation[row as usize].is_none()) {
            nowhere.push((token, row));
        }
    }
    if let Some((first, _)) = nowhere.iter().min_by_key(|(_, row)| row) {
        notices.push(VocabularyNotice::InNoModel { tokens: nowhere.len() as u64, first: (*first).to_owned() });
    }
    let gaps = taken.iter().filter(|taken| !**taken).count() as u64;
    if gaps > 0 {
        notices.push(VocabularyNotice::Gaps { rows: gaps });
    }
    let absent: Vec<String> = tokenizer.named_but_absent().map(str::to_owned).collect();
    if !absent.is_empty() {
        notices.push(VocabularyNotice::SpecialWithoutRow { tokens: absent });
    }
    let before = inputs.get(source).and_then(|input| input.tokenizer.as_ref().ok());
    let added = tokenizer
        .added()
        .filter(|token| before.is_none_or(|before| !before.ids().contains_key(&token.content)))
        .map(|token| token.content.clone())
        .collect();
    let names = inputs.iter().map(|input| input.name.clone()).collect();
    Ok(Alignment { tokenizer, source, added, tokens, rows, notices, names, permutations, rules })
}

/// The base's tokenizer with the tokens of all others added: first those of their models, then their added ones.
fn union(own: &Tokenizer, root: usize, inputs: &[VocabularyInput], notices: &mut Vec<VocabularyNotice>) -> Tokenizer {
    let mut plain: Vec<&str> = Vec::new();
    let mut added: Vec<&AddedToken> = Vec::new();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    let others = inputs.iter().enumerate().filter(|&(index, _)| index != root);
    let others = others.filter_map(|(_, input)| Some((input, input.tokenizer.as_ref().ok()?)));
    for (input, tokenizer) in std::iter::once((&inputs[root], own)).chain(others) {
        let limit = input.vocab_size.unwrap_or_else(|| tokenizer.model_tokens());
        let ids: Vec<(&String, u64)> = tokenizer.ids().iter().map(|(token, &id)| (token, id)).collect();
        for (token, id) in in_order(ids, |(_, id)| *id) {
            if id < limit && !tokenizer.is_added(token) && !own.ids().contains_key(token) {
                plain.push(token);
            }
        }
        for token in tokenizer.added().filter(|token| token.id < limit) {
            match place.get(token.content.as_str()) {
                None => {
                    place.insert(&token.content, added.len());
                    added.push(token);
                }
                Some(&first) if !added[first].is_found_like(token) => {
                    let (token, input) = (token.content.clone(), input.name.clone());
                    notices.push(VocabularyNotice::FoundDifferently { token, input });
                }
                Some(_) => {}
            }
        }
    }
    let mut union = own.clone();
    // Special tokens beyond the base's rows come back: its configuration names them.
    union.add_named();
    for token in plain {
        if !place.contains_key(token) && !union.ids().contains_key(token) {
            union.add(AddedToken::plain(token));
        }
    }
    for token in added {
        let known = union.added_token(&token.content);
        if !known.is_some_and(|known| known.is_found_like(token)) {
            union.add(token.clone());
        }
    }
    union
}

/// By row of the output, the row that an input has for the same token.
fn permutation(
    output: &Tokenizer,
    tokens: u64,
    vocabulary: &Tokenizer,
    input: &VocabularyInput,
    notices: &mut Vec<VocabularyNotice>,
) -> Permutation {
    let limit = input.limit();
    let mut permutation = vec![None; tokens as usize];
    let mut beyond: Vec<(&str, u64)> = Vec::new();
    for (token, &row) in output.ids() {
        match vocabulary.ids().get(token) {
            Some(&id) if id < limit => permutation[row as usize] = Some(id as u32),
            Some(_) => beyond.push((token, row)),
            None => {}
        }
    }
    if let Some((first, _)) = beyond.iter().min_by_key(|(_, row)| row) {
        let (input, tokens, first) = (input.name.clone(), beyond.len() as u64, (*first).to_owned());
        notices.push(VocabularyNotice::BeyondRows { input, tokens, first });
    }
    permutation
}

/// Finds the row that a token's rule names.
fn special(
    token: &str,
    row: u64,
    rule: &TokenRule,
    inputs: &[VocabularyInput],
    permutations: &[Permutation],
    vocabularies: &[&Tokenizer],
    by_name: impl Fn(&str) -> Result<usize, VocabularyError>,
) -> Result<Source, VocabularyError> {
    let lacks = |model: &str, source_token: &str| VocabularyError::TokenNotThere {
        token: token.to_owned(),
        model: model.to_owned(),
        source_token: source_token.to_owned(),
    };
    let (input, found) = match &rule.source {
        None => return Ok(Source::Any),
        Some(TokenSource::Zero) => return Ok(Source::Zero),
        Some(TokenSource::Model(model)) => {
            let input = by_name(model)?;
            (input, permutations[input][row as usize].map(u64::from).ok_or_else(|| lacks(model, token)))
        }
        Some(TokenSource::Token { model, token: other }) => {
            let input = by_name(model)?;
            (input, vocabularies[input].ids().get(other).copied().ok_or_else(|| lacks(model, other)))
        }
        Some(TokenSource::Id { model, id }) => (by_name(model)?, Ok(*id)),
    };
    let rows = inputs[input].rows;
    let found = found.and_then(|id| {
        let (token, model) = (token.to_owned(), inputs[input].name.clone());
        if id < rows { Ok(id) } else { Err(VocabularyError::RowNotThere { token, model, id, rows }) }
    });
    Ok(Source::Row(input, found))
}

/// `tokens`, filled up to a multiple; nothing and 0 fill up to nothing.
fn padded(tokens: u64, multiple: Option<u64>) -> Result<u64, VocabularyError> {
    let Some(multiple) = multiple.filter(|&multiple| multiple > 0) else { return Ok(tokens) };
    let rows = tokens.checked_next_multiple_of(multiple).filter(|&rows| u32::try_from(rows).is_ok());
    rows.ok_or(VocabularyError::TooManyRows { tokens, multiple })
}

impl Alignment {
    /// Whether the source's tokenizer.json serves the output as it is.
    pub fn is_unchanged(&self) -> bool {
        self.tokenizer.is_as_written()
    }

    /// The output's id of the token that has `id` in the tokenizer of `input`.
    pub fn moved(&self, input: usize, id: u64) -> Option<u64> {
        let permutation = self.permutations.get(input)?;
        permutation.iter().position(|row| row.map(u64::from) == Some(id)).map(|row| row as u64)
    }

    /// Where the rows of a tensor of the vocabulary come from, for each of the inputs in `present`, which are those that have the
    /// tensor, in order; in the same order. `base` is the one of them that tokens of several models are taken from.
    ///
    /// # Errors
    /// A rule of the recipe names a row that is not there, or an input that is not among `present`.
    ///
    /// # Panics
    /// `present` counts inputs that were not aligned.
    pub fn row_maps(&self, present: &[usize], base: Option<usize>) -> Result<Vec<RowMap>, VocabularyError> {
        let mut maps = vec![Runs::default(); present.len()];
        let base = base.filter(|base| present.contains(base));
        for row in 0..self.tokens as usize {
            let rule = self.rules.get(&row);
            let force = rule.is_some_and(|rule| rule.force);
            let own = |input: usize| self.permutations[input][row].filter(|_| !force).map(u64::from);
            if present.iter().all(|&input| own(input).is_some()) {
                for (map, &input) in maps.iter_mut().zip(present) {
                    map.push(own(input).map_or(RowOrigin::Zero, RowOrigin::Own));
                }
                continue;
            }
            let given = match rule.map(|rule| (rule, &rule.source)) {
                Some((_, Source::Zero)) => RowOrigin::Zero,
                Some((rule, Source::Row(input, found))) => {
                    if !present.contains(input) {
                        let (token, model) = (rule.token.clone(), self.names[*input].clone());
                        return Err(VocabularyError::TensorNotThere { token, model });
                    }
                    RowOrigin::Mean(vec![(*input, found.clone()?)])
                }
                Some((_, Source::Any)) | None => self.usual(row, present, base),
            };
            for (map, &input) in maps.iter_mut().zip(present) {
                map.push(match (own(input), &given) {
                    (Some(id), _) => RowOrigin::Own(id),
                    (None, RowOrigin::Mean(rows)) if rows.len() == 1 && rows[0].0 == input => RowOrigin::Own(rows[0].1),
                    (None, given) => given.clone(),
                });
            }
        }
        Ok(maps
            .into_iter()
            .map(|Runs(mut runs)| {
                if self.rows > self.tokens {
                    runs.push((self.rows - self.tokens, RowOrigin::MeanAbove));
                }
                RowMap { runs }
            })
            .collect())
    }

    /// Where a row comes from that no rule speaks of, for an input that lacks it.
    fn usual(&self, row: usize, present: &[usize], base: Option<usize>) -> RowOrigin {
        let rows = present.iter().filter_map(|&input| Some((input, u64::from(self.permutations[input][row]?))));
        let rows: Vec<(usize, u64)> = rows.collect();
        let of_base = rows.iter().find(|(input, _)| Some(*input) == base);
        match (rows.len(), of_base) {
            (0, _) => RowOrigin::Zero,
            (_, Some(&row)) => RowOrigin::Mean(vec![row]),
            _ => RowOrigin::Mean(rows),
        }
    }
}

/// The opened models whose tokenizers [`super::plan`] wants to see, by their index: all that are bound if the recipe speaks of
/// tokenizers or chat templates, else those whose vocabularies differ.
pub fn tokenizers_wanted(recipe: &Recipe, models: &[Model], binding: &BTreeMap<String, usize>) -> Vec<usize> {
    let mut bound: Vec<usize> = Vec::new();
    for index in super::input_names(recipe).iter().filter_map(|name| binding.get(name)) {
        if *index < models.len() && !bound.contains(index) {
            bound.push(*index);
        }
    }
    let hash = |index: usize| models[index].vocabulary.as_ref().map(|vocabulary| &vocabulary.sha256);
    let known = set_of(bound.iter().filter_map(|index| hash(*index)));
    if recipe.tokenizer.is_some() || recipe.chat_template.is_some() || known.len() > 1 { bound } else { Vec::new() }
}

/// The alignment behind a plan, once more.
///
/// # Errors
/// Those of [`align`]: with the same models and tokenizers, none.
pub fn of_plan(
    plan: &Plan,
    recipe: &Recipe,
    models: &[Model],
    tokenizers: &BTreeMap<usize, TokenizerFiles>,
) -> Result<Option<Alignment>, VocabularyError> {
    let Some(rule) = &recipe.tokenizer else { return Ok(None) };
    let adapters: Vec<usize> = plan.inputs.iter().filter_map(|input| input.adapter).collect();
    let merged = plan.inputs.iter().enumerate().filter(|(number, _)| !adapters.contains(number));
    let known: Vec<VocabularyInput> = merged
        .filter_map(|(_, input)| {
            Some(VocabularyInput::of(&input.name, models.get(input.model)?, tokenizers.get(&input.model)))
        })
        .collect();
    let base = recipe.base_model.as_ref().and_then(|base| known.iter().position(|input| input.name == *base));
    align(rule, &known, base).map(Some)
}

/// How many differing tokens are named.
const NAMED: usize = 4;

/// Which inputs have other tokens than the donor.
pub(super) fn differences(
    inputs: &[Input<'_>],
    donor: usize,
    tokenizers: &BTreeMap<usize, TokenizerFiles>,
) -> Vec<PlanNotice> {
    let hash = |input: &Input<'_>| input.model.vocabulary.as_ref().map(|vocabulary| vocabulary.sha256.clone());
    let Some(own) = hash(&inputs[donor]) else { return Vec::new() };
    let by_id = |input: &Input<'_>| {
        let tokenizer = tokenizers.get(&input.index).and_then(|files| Tokenizer::of(files).ok())?;
        let mut by_id: BTreeMap<u64, String> = BTreeMap::new();
        by_id.extend(tokenizer.ids().iter().map(|(token, id)| (*id, token.clone())));
        Some(by_id)
    };
    let mut donors = None;
    let differs = inputs.iter().filter(|input| hash(input).is_some_and(|hash| hash != own));
    differs
        .map(|input| {
            let (mut count, mut first) = (0, Vec::new());
            let donors = donors.get_or_insert_with(|| by_id(&inputs[donor]));
            if let (Some(donors), Some(theirs)) = (donors, by_id(input)) {
                let ids = set_of(donors.keys().chain(theirs.keys()).copied());
                for id in ids.into_iter().filter(|id| donors.get(id) != theirs.get(id)) {
                    count += 1;
                    if first.len() < NAMED {
                        let (donor, input) = (donors.get(&id).cloned(), theirs.get(&id).cloned());
                        first.push(TokenDifference { id, donor, input });
                    }
                }
            }
            PlanNotice::TokenizersDiffer { input: input.name.clone(), count, first }
        })
        .collect()
}

/// Runs of rows, each as long as it can be.
#[derive(Clone, Default)]
struct Runs(Vec<(u64, RowOrigin)>);

impl Runs {
    fn push(&mut self, origin: RowOrigin) {
        if let Some((len, run)) = self.0.last_mut() {
            let goes_on = match (&*run, &origin) {
                (RowOrigin::Zero, RowOrigin::Zero) => true,
                (RowOrigin::Own(start), RowOrigin::Own(next)) => start.checked_add(*len) == Some(*next),
                (RowOrigin::Mean(starts), RowOrigin::Mean(next)) => {
                    starts.len() == next.len()
                        && starts.iter().zip(next).all(|(&(input, start), &(other, next))| {
                            input == other && start.checked_add(*len) == Some(next)
                        })
                }
                _ => false,
            };
            if goes_on {
                *len += 1;
                return;
            }
        }
        self.0.push((1, origin));
    }
}

#[cfg(test)]
#[path = "vocabulary_tests.rs"]
mod tests;
