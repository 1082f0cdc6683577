//! Passing many texts through a decoder so that what they have in common is computed once.
//!
//! Texts in the order of their tokens are a walk through a tree, whose edges are what a text does not share with the one before it. Its
//! tokens go through the decoder in the order of the walk, as many at once as a pass may have: those of neighbouring branches beside each
//! other, each seeing only the slots of its own way from the root. Between two passes the cache keeps the way to where the walk
//! stands, and so it does between two calls.

use std::ops::Range;

use candle_core::Tensor;

use super::cache::Cache;
use super::decoder::{Batch, Decoder, PASS, ROOM};
use super::error::Result;

/// Where a result is wanted: `(text, position of the token that it follows)`.
pub type Wanted = (usize, usize);

/// Keys and values of the tokens of one path from the root.
pub struct Path {
    cache: Cache,
    /// The slots' tokens.
    tokens: Vec<u32>,
}

fn common(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// Ranges up to a total length.
fn truncate(ranges: &mut Vec<Range<usize>>, length: usize) {
    let mut left = length;
    ranges.retain_mut(|range| {
        range.end = range.start + range.len().min(left);
        left -= range.len();
        range.start < range.end
    });
}

/// A text's part in the walk.
struct Step {
    text: usize,
    /// Tokens that it shares with the one before it.
    shared: usize,
    /// What is wanted of the tokens that it adds, by position.
    wanted: Vec<(usize, Wanted)>,
}

impl Path {
    pub fn new(decoder: &Decoder) -> Self {
        Self { cache: Cache::new(&decoder.spec), tokens: Vec::new() }
    }

    /// The walk through `texts`, each with the first position that something is wanted of.
    fn plan(&self, texts: &[(&[u32], usize)]) -> Vec<Step> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|text| texts[*text].0);
        let mut before: &[u32] = &self.tokens;
        let mut steps: Vec<Step> = Vec::with_capacity(order.len());
        // Of the cached tokens only those can stay of which nothing is wanted: what comes out of the decoder is not kept.
        let (mut cached, mut kept) = (usize::MAX, usize::MAX);
        for text in order {
            let (tokens, from) = texts[text];
            let shared = common(before, tokens);
            cached = cached.min(shared);
            if from < cached {
                kept = kept.min(from);
            }
            steps.push(Step { text, shared, wanted: Vec::new() });
            before = tokens;
        }
        if let Some(first) = steps.first_mut() {
            first.shared = first.shared.min(kept);
        }
        // Which step computes each position of the path.
        let mut makers: Vec<usize> = Vec::new();
        for step in 0..steps.len() {
            let Step { text, shared, .. } = steps[step];
            let (tokens, from) = texts[text];
            makers.truncate(shared);
            makers.resize(tokens.len(), step);
            for position in from..tokens.len() {
                steps[makers[position]].wanted.push((position, (text, position)));
            }
        }
        for step in &mut steps {
            step.wanted.sort_unstable();
        }
        steps
    }

    /// Passes texts through. After each pass `see` is given what came out for the tokens of which something is wanted, a row each, and
    /// for each row by whom.
    pub fn walk(
        &mut self,
        decoder: &Decoder,
        texts: &[(&[u32], usize)],
        mut see: impl FnMut(&Tensor, &[Vec<Wanted>]) -> Result<()>,
    ) -> Result<()> {
        let steps = self.plan(texts);
        // What is left of an interrupted walk is nobody's path.
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.truncate(steps.first().map_or(0, |step| step.shared));
        let mut walk = Walk::new(decoder, &mut self.cache, tokens);
        for step in &steps {
            walk.back(step.shared);
            let mut wanted = step.wanted.iter().peekable();
            for (position, &token) in texts[step.text].0.iter().enumerate().skip(step.shared) {
                if walk.is_full() {
                    walk.pass(&mut see)?;
                }
                let mut by = Vec::new();
                while let Some((_, by_whom)) = wanted.next_if(|(at, _)| *at == position) {
                    by.push(*by_whom);
                }
                walk.forth(token, by);
            }
        }
        walk.pass(&mut see)?;
        self.tokens = walk.tokens;
        Ok(())
    }
}

struct Walk<'a> {
    decoder: &'a Decoder,
    cache: &'a mut Cache,
    /// The way here, and its slots.
    tokens: Vec<u32>,
    slots: Vec<Range<usize>>,
    batch: Batch,
    /// Tokens that the batch may have.
    room: usize,
    rows: Vec<usize>,
    wanted: Vec<Vec<Wanted>>,
}

impl<'a> Walk<'a> {
    fn new(decoder: &'a Decoder, cache: &'a mut Cache, tokens: Vec<u32>) -> Self {
        let batch = Batch { tokens: Vec::new(), positions: Vec::new(), start: 0, visible: Vec::new() };
        let mut walk =
            Self { decoder, cache, tokens, slots: Vec::new(), batch, room: 0, rows: Vec::new(), wanted: Vec::new() };
        walk.begin();
        walk
    }

    /// A new batch behind the way here, which is at the front of the cache.
    fn begin(&mut self) {
        let start = self.tokens.len();
        self.slots.clear();
        if start > 0 {
            self.slots.push(0..start);
        }
        self.batch = Batch { tokens: Vec::new(), positions: Vec::new(), start, visible: Vec::new() };
        self.room = (ROOM / self.decoder.spec.heads.saturating_mul(start + PASS)).clamp(1, PASS);
        self.rows.clear();
        self.wanted.clear();
    }

    fn is_full(&self) -> bool {
        self.batch.tokens.len() >= self.room
    }

    fn back(&mut self, length: usize) {
        self.tokens.truncate(length);
        truncate(&mut self.slots, length);
    }

    fn forth(&mut self, token: u32, wanted: Vec<Wanted>) {
        let slot = self.batch.start + self.batch.tokens.len();
        match self.slots.last_mut() {
            Some(last) if last.end == slot => last.end += 1,
            _ => self.slots.push(slot..slot + 1),
        }
        if !wanted.is_empty() {
            self.rows.push(self.batch.tokens.len());
            self.wanted.push(wanted);
        }
        self.batch.visible.push(self.slots.clone());
        self.batch.positions.push(self.tokens.len() as u32);
        self.batch.tokens.push(token);
        self.tokens.push(token);
    }

    fn pass(&mut self, see: &mut impl FnMut(&Tensor, &[Vec<Wanted>]) -> Result<()>) -> Result<()> {
        if !self.batch.tokens.is_empty() {
            let rows = self.decoder.forward(self.cache, &self.batch, &self.rows)?;
            if !self.rows.is_empty() {
                see(&rows, &self.wanted)?;
            }
            self.cache.gather(&self.slots)?;
        }
        self.begin();
        Ok(())
    }
}
