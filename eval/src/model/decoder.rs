//! The decoder: weights, and one pass over a batch of tokens.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::cache::Cache;
use super::error::{Error, Result};
use super::math;
use super::matrix::Matrix;
use super::ops::{self, NormWeights};
use super::spec::{HeadNorm, Joined, Norm, NormKind, Spec, Up};
use super::weights::{Reader, Stored, Weights};

/// The most tokens of one pass: enough that the products run at full speed.
pub const PASS: usize = 512;

/// Elements that a pass's scores, or a block of logits, may have.
pub const ROOM: usize = 1 << 23;

/// Tokens that pass through the decoder together, in slots of the cache from `start` on.
pub struct Batch {
    pub tokens: Vec<u32>,
    pub positions: Vec<u32>,
    pub start: usize,
    /// The slots that a token sees, itself included, in ascending order: those of what is before it in its text.
    pub visible: Vec<Vec<Range<usize>>>,
}

struct Linear {
    /// [out, in].
    weight: Arc<Matrix>,
    bias: Vec<f32>,
}

impl Linear {
    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.weight.product(input)?;
        if !self.bias.is_empty() {
            ops::add_bias(&output, &self.bias)?;
        }
        Ok(output)
    }
}

struct Block {
    before_attention: Option<NormWeights>,
    after_attention: Option<NormWeights>,
    before_mlp: Option<NormWeights>,
    after_mlp: Option<NormWeights>,
    /// Queries, keys, values.
    projection: Linear,
    head_norms: Option<[NormWeights; 2]>,
    output: Linear,
    /// Gate and up, or up alone.
    up: Linear,
    down: Linear,
}

pub struct Decoder {
    pub spec: Spec,
    embedding: Arc<Matrix>,
    positions: Option<Matrix>,
    blocks: Vec<Block>,
    norm: NormWeights,
    head: Linear,
}

fn by_row(stored: &Stored, [rows, columns]: [usize; 2]) -> Result<Matrix> {
    Matrix::build(rows, columns, |put| {
        stored.rows(columns, put);
        Ok(())
    })
}

/// Loads what a specification names.
struct Loader<'a, 'b> {
    spec: &'a Spec,
    reader: Reader<'b>,
}

impl Loader<'_, '_> {
    /// Rows of several tensors, one after another.
    fn linear(&mut self, parts: &[(String, usize)], inputs: usize, bias: bool) -> Result<Linear> {
        let outputs = parts.iter().map(|(_, rows)| rows).sum();
        let weight = Matrix::build(outputs, inputs, |put| {
            for (name, rows) in parts {
                let name = format!("{name}.weight");
                if self.spec.transposed {
                    let stored = self.reader.tensor(&name, &[inputs, *rows])?.values();
                    let column = |column: usize| stored[column..].iter().step_by(*rows).copied().collect::<Vec<f32>>();
                    (0..*rows).for_each(|row| put(&column(row)));
                } else {
                    self.reader.tensor(&name, &[*rows, inputs])?.rows(inputs, &mut *put);
                }
            }
            Ok(())
        })?;
        Ok(Linear { weight: Arc::new(weight), bias: if bias { self.biases(parts)? } else { Vec::new() } })
    }

    fn biases(&mut self, parts: &[(String, usize)]) -> Result<Vec<f32>> {
        let mut biases = Vec::new();
        for (name, rows) in parts {
            biases.extend(self.reader.tensor(&format!("{name}.bias"), &[*rows])?.values());
        }
        Ok(biases)
    }

    fn norm(&mut self, name: &str, norm: Norm, width: usize) -> Result<NormWeights> {
        let mut weights = NormWeights { norm, weight: Vec::new(), bias: Vec::new() };
        if norm.kind != NormKind::Plain {
            weights.weight = self.reader.tensor(&format!("{name}.weight"), &[width])?.values();
        }
        match norm.kind {
            NormKind::Layer => weights.bias = self.reader.tensor(&format!("{name}.bias"), &[width])?.values(),
            NormKind::RmsOffset => weights.weight.iter_mut().for_each(|weight| *weight += 1.0),
            NormKind::Rms | NormKind::Plain => {}
        }
        Ok(weights)
    }

    fn projection(&mut self, layer: &str) -> Result<Linear> {
        let spec = self.spec;
        let [queries, keys] = [spec.heads * spec.head_dim, spec.key_heads * spec.head_dim];
        let named = |name: &str| format!("{layer}{name}");
        match spec.names.projections {
            Joined::No([query, key, value]) => self.linear(
                &[(named(query), queries), (named(key), keys), (named(value), keys)],
                spec.hidden,
                spec.projection_bias,
            ),
            Joined::Blocks(name) => {
                self.linear(&[(named(name), queries + 2 * keys)], spec.hidden, spec.projection_bias)
            }
            Joined::Heads(name) => {
                let joined = (named(name), 3 * queries);
                let stored = self.reader.tensor(&format!("{}.weight", joined.0), &[joined.1, spec.hidden])?.values();
                let weight = Matrix::build(joined.1, spec.hidden, |put| {
                    by_part(&stored, spec, spec.hidden).chunks_exact(spec.hidden).for_each(put);
                    Ok(())
                })?;
                let bias = if spec.projection_bias { by_part(&self.biases(&[joined])?, spec, 1) } else { Vec::new() };
                Ok(Linear { weight: Arc::new(weight), bias })
            }
        }
    }

    fn block(&mut self, index: usize) -> Result<Block> {
        let spec = self.spec;
        let names = &spec.names;
        let layer = format!("{}{index}.", names.layers);
        let named = |name: &str| format!("{layer}{name}");
        let mut norm =
            |name: Option<&str>| name.map(|name| self.norm(&named(name), spec.norm, spec.hidden)).transpose();
        let before_attention = norm(names.before_attention)?;
        let after_attention = norm(names.after_attention)?;
        let before_mlp = norm(names.before_mlp)?;
        let after_mlp = norm(names.after_mlp)?;
        let widths = match spec.head_norm {
            HeadNorm::None => None,
            HeadNorm::Head => Some([spec.head_dim; 2]),
            HeadNorm::Whole => Some([spec.heads * spec.head_dim, spec.key_heads * spec.head_dim]),
        };
        let head_norms = match widths {
            None => None,
            Some([query, key]) => Some([
                self.norm(&named(names.query_norm), spec.norm, query)?,
                self.norm(&named(names.key_norm), spec.norm, key)?,
            ]),
        };
        let up = match names.up {
            Up::Plain(up) => vec![(named(up), spec.inner)],
            Up::Gated([gate, up]) => vec![(named(gate), spec.inner), (named(up), spec.inner)],
            Up::GatedJoined(both) => vec![(named(both), 2 * spec.inner)],
        };
        let queries = spec.heads * spec.head_dim;
        Ok(Block {
            before_attention,
            after_attention,
            before_mlp,
            after_mlp,
            projection: self.projection(&layer)?,
            head_norms,
            output: self.linear(&[(named(names.output), spec.hidden)], queries, spec.output_bias)?,
            up: self.linear(&up, spec.hidden, spec.mlp_bias)?,
            down: self.linear(&[(named(names.down), spec.hidden)], spec.inner, spec.mlp_bias)?,
        })
    }
}

/// Rows of query, key and value of each head in turn, as all queries, all keys, all values.
fn by_part(values: &[f32], spec: &Spec, width: usize) -> Vec<f32> {
    let head = spec.head_dim * width;
    (0..3).flat_map(|part| values.chunks_exact(head).skip(part).step_by(3).flatten().copied()).collect()
}

impl Decoder {
    pub fn load(spec: Spec, weights: &mut dyn Weights) -> Result<Self> {
        let mut reader = Reader::new(weights);
        reader.prefix(spec.names.prefix, &format!("{}.weight", spec.names.embedding))?;
        let mut loader = Loader { spec: &spec, reader };
        let names = &spec.names;
        let shape = [spec.vocabulary, spec.hidden];
        let head_name = format!("{}.weight", names.head);
        let embedding = match loader.reader.tensor(&format!("{}.weight", names.embedding), &shape) {
            // Tied weights may be stored as the head alone.
            Err(Error::TensorMissing(name)) if spec.tied => {
                loader.reader.find(&head_name, &shape)?.ok_or(Error::TensorMissing(name))?
            }
            read => read?,
        };
        let embedding = Arc::new(by_row(&embedding, shape)?);
        let positions = match names.positions {
            None => None,
            Some(name) => {
                let shape = [spec.context, spec.hidden];
                Some(by_row(&loader.reader.tensor(&format!("{name}.weight"), &shape)?, shape)?)
            }
        };
        let blocks = (0..spec.layers.len()).map(|index| loader.block(index)).collect::<Result<_>>()?;
        let norm = loader.norm(names.norm, spec.norm, spec.hidden)?;
        let weight = if spec.tied {
            Arc::clone(&embedding)
        } else {
            let stored = loader.reader.find(&head_name, &shape)?;
            Arc::new(by_row(&stored.ok_or(Error::TensorMissing(head_name))?, shape)?)
        };
        let bias = if spec.head_bias {
            let name = format!("{}.bias", names.head);
            loader.reader.find(&name, &[spec.vocabulary])?.ok_or(Error::TensorMissing(name))?.values()
        } else {
            Vec::new()
        };
        Ok(Self { embedding, positions, blocks, norm, head: Linear { weight, bias }, spec })
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let spec = &self.spec;
        let outside = batch.tokens.iter().find(|token| **token as usize >= spec.vocabulary);
        if let Some(&token) = outside {
            return Err(Error::TokenOutside { token, vocabulary: spec.vocabulary });
        }
        let rows = self.embedding.gather(&batch.tokens)?;
        if spec.embedding_scale != 1.0 {
            ops::change(&rows, |values| values.iter_mut().for_each(|value| *value *= spec.embedding_scale))?;
        }
        if let Some(positions) = &self.positions {
            ops::add(&rows, &positions.gather(&batch.positions)?, 1.0)?;
        }
        Ok(rows)
    }

    /// Passes a batch through; gives what comes out of the last layer for the batch's tokens at `wanted`, normalised: [wanted, hidden].
    pub fn forward(&self, cache: &mut Cache, batch: &Batch, wanted: &[usize]) -> Result<Tensor> {
        let spec = &self.spec;
        cache.reserve(batch.start + batch.tokens.len(), spec.layers.len())?;
        let turns: Vec<Turns> = spec.rotaries.iter().map(|rotary| Turns::new(rotary, &batch.positions)).collect();
        let mut windows: Vec<(usize, Vec<Vec<Range<usize>>>)> = Vec::new();
        for window in spec.layers.iter().filter_map(|layer| layer.window) {
            if !windows.iter().any(|(known, _)| *known == window) {
                windows.push((window, batch.visible.iter().map(|ranges| last(ranges, window)).collect()));
            }
        }
        let stream = self.embed(batch)?;
        for (index, (block, layer)) in self.blocks.iter().zip(&spec.layers).enumerate() {
            let visible = layer.window.and_then(|window| windows.iter().find(|(known, _)| *known == window));
            let visible = visible.map_or(&batch.visible, |(_, visible)| visible);
            let turns = layer.rotary.map(|rotary| &turns[rotary]);
            let input = match &block.before_attention {
                Some(norm) => norm.apply(&stream)?,
                None => stream.clone(),
            };
            let mut attended = self.attention(block, index, &input, turns, cache, batch.start, visible)?;
            if let Some(norm) = &block.after_attention {
                attended = norm.apply(&attended)?;
            }
            let mlp_input = |stream: &Tensor| match &block.before_mlp {
                Some(norm) => norm.apply(stream).map_err(Error::from),
                None => Ok(stream.clone()),
            };
            let mixed = if spec.parallel {
                let own = if block.before_mlp.is_some() { mlp_input(&stream)? } else { input };
                let mixed = self.mlp(block, &own)?;
                ops::add(&stream, &attended, spec.residual_scale)?;
                mixed
            } else {
                drop(input);
                ops::add(&stream, &attended, spec.residual_scale)?;
                self.mlp(block, &mlp_input(&stream)?)?
            };
            let mixed = match &block.after_mlp {
                Some(norm) => norm.apply(&mixed)?,
                None => mixed,
            };
            ops::add(&stream, &mixed, spec.residual_scale)?;
        }
        let rows = ops::map(&stream, (wanted.len(), spec.hidden), |values| {
            wanted.iter().flat_map(|row| values[row * spec.hidden..][..spec.hidden].iter().copied()).collect()
        })?;
        Ok(self.norm.apply(&rows)?)
    }

    #[expect(clippy::too_many_arguments, reason = "a pass's state, taken apart where it is used")]
    fn attention(
        &self,
        block: &Block,
        index: usize,
        input: &Tensor,
        turns: Option<&Turns>,
        cache: &Cache,
        start: usize,
        visible: &[Vec<Range<usize>>],
    ) -> Result<Tensor> {
        let spec = &self.spec;
        let tokens = input.dim(0)?;
        let (size, queries) = (spec.head_dim, spec.heads * spec.head_dim);
        let turned = queries + spec.key_heads * size;
        let scale = spec.layers[index].scale;
        let projected = block.projection.apply(input)?;
        ops::change(&projected, |values| {
            ops::each_row(values, spec.projected(), |token, row| {
                if let Some(clip) = spec.clip {
                    for value in row.iter_mut() {
                        *value = value.clamp(-clip, clip);
                    }
                }
                if let Some([query, key]) = &block.head_norms {
                    let (own, rest) = row.split_at_mut(queries);
                    own.chunks_exact_mut(query.weight.len()).for_each(|part| query.row(part));
                    rest[..turned - queries].chunks_exact_mut(key.weight.len()).for_each(|part| key.row(part));
                }
                if let Some(turns) = turns {
                    row[..turned].chunks_exact_mut(size).for_each(|head| turns.turn(token, head));
                }
                row[..queries].iter_mut().for_each(|value| *value *= scale);
            });
        })?;
        cache.write(index, start, &projected)?;
        let query = ops::split_heads(&projected, spec.heads, spec.key_heads, size)?;
        let [keys, values] = cache.seen(index, start + tokens)?;
        let scores = query.matmul(&keys.transpose(1, 2)?)?;
        ops::softmax(&scores, visible, spec.score_cap)?;
        let heads = scores.matmul(&values)?;
        block.output.apply(&ops::merge_heads(&heads, tokens)?)
    }

    fn mlp(&self, block: &Block, input: &Tensor) -> Result<Tensor> {
        let inner = self.spec.inner;
        let activation = self.spec.activation;
        let up = block.up.apply(input)?;
        let active = if self.spec.names.up.gated() {
            let tokens = up.dim(0)?;
            ops::map(&up, (tokens, inner), |values| {
                let mut active = vec![0.0; tokens * inner];
                ops::each_row(&mut active, inner, |token, row| {
                    let (gate, up) = values[token * 2 * inner..][..2 * inner].split_at(inner);
                    row.copy_from_slice(gate);
                    activation.apply(row);
                    row.iter_mut().zip(up).for_each(|(value, up)| *value *= up);
                });
                active
            })?
        } else {
            ops::change(&up, |values| ops::each_row(values, inner, |_, row| activation.apply(row)))?;
            up
        };
        block.down.apply(&active)
    }

    /// Looks at the logits of each row of [rows, hidden], on several threads where there are any.
    pub fn logits<T: Send>(&self, rows: &Tensor, look: impl Fn(usize, &[f32]) -> T + Sync) -> Result<Vec<T>> {
        let vocabulary = self.spec.vocabulary;
        let count = rows.dim(0)?;
        let block = (ROOM / vocabulary).max(1);
        let mut seen = Vec::with_capacity(count);
        for start in (0..count).step_by(block) {
            let logits = self.head.apply(&rows.narrow(0, start, block.min(count - start))?)?;
            let (scale, cap) = (self.spec.logit_scale, self.spec.logit_cap);
            if scale != 1.0 || cap.is_some() {
                ops::change(&logits, |values| {
                    ops::each_row(values, vocabulary, |_, row| {
                        for logit in row.iter_mut() {
                            *logit *= scale;
                        }
                        if let Some(cap) = cap {
                            for logit in row.iter_mut() {
                                *logit = cap * math::tanh(*logit / cap);
                            }
                        }
                    });
                })?;
            }
            seen.extend(ops::look(&logits, |values| {
                let rows = values.par_chunks_exact(vocabulary).enumerate();
                rows.map(|(row, logits)| look(start + row, logits)).collect::<Vec<T>>()
            })?);
        }
        Ok(seen)
    }
}

/// The last `count` slots of ranges.
fn last(ranges: &[Range<usize>], count: usize) -> Vec<Range<usize>> {
    let mut left = count;
    let mut kept = Vec::new();
    for range in ranges.iter().rev() {
        let length = range.len().min(left);
        if length == 0 {
            break;
        }
        kept.push(range.end - length..range.end);
        left -= length;
    }
    kept.reverse();
    kept
}

/// Cosines and sines of a batch's positions.
struct Turns {
    /// [tokens, pairs].
    cosines: Vec<f32>,
    sines: Vec<f32>,
    pairs: usize,
}

impl Turns {
    fn new(rotary: &super::rotary::Rotary, positions: &[u32]) -> Self {
        let angles = positions.iter().flat_map(|&position| {
            rotary.frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        let (cosines, sines) = angles
            .map(|angle| (libm::cos(angle) as f32 * rotary.scale, libm::sin(angle) as f32 * rotary.scale))
            .unzip();
        Self { cosines, sines, pairs: rotary.frequencies.len() }
    }

    fn turn(&self, token: usize, head: &mut [f32]) {
        let at = token * self.pairs..(token + 1) * self.pairs;
        let (first, rest) = head.split_at_mut(self.pairs);
        let angles = self.cosines[at.clone()].iter().zip(&self.sines[at]);
        for ((first, second), (cosine, sine)) in first.iter_mut().zip(rest).zip(angles) {
            (*first, *second) = (*first * cosine - *second * sine, *second * cosine + *first * sine);
        }
    }
}
