//! Several documents in one text: their names, who needs whom, and which of them is the output.

use super::super::problem::{Problem, ProblemKind};
use super::super::reader::{Data, Node};
use super::super::span::Span;
use super::{Checker, words};
use crate::recipe::{Recipe, Stage, TokenSource, TokenizerSource, model_path};

/// A document, as far as it could be read.
pub(super) struct Document {
    /// Where it begins.
    pub(super) start: Span,
    /// Its name, and where that stands.
    pub(super) name: Name,
    pub(super) recipe: Option<Recipe>,
}

/// What a document says of its name: none where it is no name, and then of none.
pub(super) type Name = Option<Option<(String, Span)>>;

/// The names of the documents.
pub(super) fn names(roots: &[Node]) -> Vec<&str> {
    let named = roots.iter().filter_map(|root| match &root.data {
        Data::Map(map) => map.get(words::STAGE_NAME)?.value.text(),
        _ => None,
    });
    named.collect()
}

impl Checker<'_> {
    /// The document's name. Alone, it needs none.
    pub(super) fn name(&mut self, several: bool) -> Name {
        let Some(pair) = self.root.get(words::STAGE_NAME).filter(|pair| !pair.value.is_null()) else {
            return Some(None);
        };
        if !several {
            self.no_effect(pair);
            return Some(None);
        }
        let name = self.text(words::STAGE_NAME, &pair.value)?;
        if name.trim().is_empty() {
            self.say(pair.value.span, ProblemKind::BlankName);
            return None;
        }
        Some(Some((name, pair.value.span)))
    }
}

/// A document that was read.
struct Read<'a> {
    /// Where its name stands, or where it begins.
    span: Span,
    name: Option<&'a str>,
    recipe: &'a Recipe,
}

/// The recipe of the document that is the output, with those of the others that it needs.
pub(super) fn join(mut documents: Vec<Document>, problems: &mut Vec<Problem>) -> Option<Recipe> {
    if documents.len() < 2 {
        return documents.pop()?.recipe;
    }
    let read = read(&documents, problems)?;
    let name = |at: usize| read[at].name.unwrap_or_default().to_owned();
    let place = |name: &str| read.iter().position(|document| document.name == Some(model_path(name)));
    let needs: Vec<Vec<usize>> =
        read.iter().map(|document| used(document.recipe).into_iter().filter_map(place).collect()).collect();
    let order = match order(&needs) {
        Ok(order) => order,
        Err(circle) => {
            let kind = ProblemKind::Circle { names: circle.iter().map(|at| name(*at)).collect() };
            problems.push(Problem::new(read[*circle.first()?].span, kind));
            return None;
        }
    };
    let unused: Vec<usize> = (0..read.len()).filter(|at| needs.iter().all(|needs| !needs.contains(at))).collect();
    let unnamed = read.iter().position(|document| document.name.is_none());
    let ((Some(output), _) | (None, &[output])) = (unnamed, unused.as_slice()) else {
        let kind = ProblemKind::SeveralOutputs { names: unused.iter().map(|at| name(*at)).collect() };
        problems.push(Problem::new(read[*unused.last()?].span, kind));
        return None;
    };
    for at in unused.into_iter().filter(|at| *at != output) {
        problems.push(Problem::new(read[at].span, ProblemKind::UnusedStage { name: name(at) }));
    }
    let mut needed = vec![false; read.len()];
    let mut open = needs[output].clone();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut needed[at], true) {
            open.extend(&needs[at]);
        }
    }
    let stages = order.into_iter().filter(|at| needed[*at]);
    let stages = stages.map(|at| Stage { name: name(at), recipe: read[at].recipe.clone() }).collect();
    Some(Recipe { stages, ..read[output].recipe.clone() })
}

/// The documents, if all could be read and each has a name of its own.
fn read<'a>(documents: &'a [Document], problems: &mut Vec<Problem>) -> Option<Vec<Read<'a>>> {
    let mut read: Vec<Read<'_>> = Vec::with_capacity(documents.len());
    // Names that are given twice are told of whatever else is wrong.
    let mut named: Vec<(Option<&str>, Span)> = Vec::new();
    let mut sound = true;
    for document in documents {
        let Some(name) = &document.name else {
            sound = false;
            continue;
        };
        let span = name.as_ref().map_or(document.start, |(_, span)| *span);
        let name = name.as_ref().map(|(name, _)| name.as_str());
        if let Some((_, first)) = named.iter().find(|(other, _)| *other == name) {
            let first = first.line;
            let kind = match name {
                Some(name) => ProblemKind::DuplicateName { name: name.to_owned(), first },
                None => ProblemKind::SecondOutput { first },
            };
            problems.push(Problem::new(span, kind));
            sound = false;
        }
        named.push((name, span));
        match &document.recipe {
            Some(recipe) => read.push(Read { span, name, recipe }),
            None => sound = false,
        }
    }
    sound.then_some(read)
}

/// The names of all models that a recipe speaks of.
fn used(recipe: &Recipe) -> Vec<&str> {
    let mut names: Vec<&str> = recipe.base_model.iter().map(String::as_str).collect();
    for part in recipe.parts() {
        names.extend(part.models.iter().map(|entry| entry.model.as_str()));
        names.extend(part.slices.iter().filter_map(|slice| slice.base_model.as_deref()));
        names.extend(part.slices.iter().flat_map(|slice| &slice.sources).map(|source| source.model.as_str()));
    }
    if let Some(rule) = &recipe.tokenizer {
        if let TokenizerSource::Model(model) = &rule.source {
            names.push(model);
        }
        names.extend(rule.tokens.iter().filter_map(|(_, token)| match &token.source {
            Some(TokenSource::Model(model) | TokenSource::Token { model, .. } | TokenSource::Id { model, .. }) => {
                Some(model.as_str())
            }
            _ => None,
        }));
    }
    names
}

/// An order in which each comes after all that it needs, otherwise as they stand; or some that need each other in a circle.
fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order: Vec<usize> = Vec::with_capacity(needs.len());
    while order.len() < needs.len() {
        let is_open = |at: &usize| !order.contains(at);
        let ready = (0..needs.len()).find(|at| is_open(at) && !needs[*at].iter().any(is_open));
        let Some(ready) = ready else {
            // Whatever is open needs something open: following that leads into a circle.
            let mut way: Vec<usize> = Vec::new();
            let mut next = (0..needs.len()).find(is_open);
            while let Some(at) = next {
                if let Some(first) = way.iter().position(|before| *before == at) {
                    way.drain(..first);
                    break;
                }
                way.push(at);
                next = needs[at].iter().copied().find(is_open);
            }
            return Err(way);
        };
        order.push(ready);
    }
    Ok(order)
}
