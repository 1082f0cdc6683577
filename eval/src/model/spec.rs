//! What a causal decoder computes, as data: one description for every supported architecture.

use super::math::Activation;
use super::rotary::Rotary;

/// How activations are normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    pub kind: NormKind,
    pub eps: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormKind {
    /// By the root of the mean square, times a weight.
    Rms,
    /// As `Rms`; what is stored is the weight less 1 (Gemma).
    RmsOffset,
    /// Mean and variance; weight and bias.
    Layer,
    /// Mean and variance, nothing learned (OLMo).
    Plain,
}

/// Over what queries and keys are normalised before they are turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadNorm {
    None,
    /// Each head by itself, with one weight for all.
    Head,
    /// All heads of a token together (OLMo 2).
    Whole,
}

/// How query, key and value projections are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Joined {
    /// Three tensors, named by what replaces `*`.
    No([&'static str; 3]),
    /// One tensor: all queries, all keys, all values.
    Blocks(&'static str),
    /// One tensor: query, key and value of the first head, of the second … (GPT-NeoX).
    Heads(&'static str),
}

/// Names of a checkpoint's tensors, without `.weight` and `.bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// Before everything but the head; left out where the checkpoint has none.
    pub prefix: &'static str,
    pub embedding: &'static str,
    /// Learned positions.
    pub positions: Option<&'static str>,
    /// Before a layer's number.
    pub layers: &'static str,
    pub before_attention: Option<&'static str>,
    pub after_attention: Option<&'static str>,
    pub before_mlp: Option<&'static str>,
    pub after_mlp: Option<&'static str>,
    pub projections: Joined,
    pub query_norm: &'static str,
    pub key_norm: &'static str,
    pub output: &'static str,
    /// Gate and up, or up alone.
    pub up: Up,
    pub down: &'static str,
    pub norm: &'static str,
    pub head: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Up {
    /// One projection.
    Plain(&'static str),
    /// Gate and up.
    Gated([&'static str; 2]),
    /// Gate and up in one tensor (Phi-3).
    GatedJoined(&'static str),
}

impl Up {
    pub fn gated(self) -> bool {
        !matches!(self, Self::Plain(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// How many tokens it sees, itself included; none: all before it.
    pub window: Option<usize>,
    /// Which of the rotary frequencies it uses; none: none.
    pub rotary: Option<usize>,
    /// What scores are multiplied with.
    pub scale: f32,
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub struct Spec {
    pub vocabulary: usize,
    pub hidden: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub head_dim: usize,
    pub inner: usize,
    /// The longest text, in tokens.
    pub context: usize,
    pub layers: Vec<Layer>,
    pub rotaries: Vec<Rotary>,
    pub norm: Norm,
    pub head_norm: HeadNorm,
    pub projection_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    pub head_bias: bool,
    /// Weights of projections are stored by input (GPT-2).
    pub transposed: bool,
    pub activation: Activation,
    /// Attention and MLP both read the layer's input.
    pub parallel: bool,
    /// Bound on queries, keys and values (OLMo).
    pub clip: Option<f32>,
    /// Scores become cap · tanh(score / cap).
    pub score_cap: Option<f32>,
    pub logit_cap: Option<f32>,
    pub embedding_scale: f32,
    /// What attention's and MLP's results are multiplied with before they are added (Granite).
    pub residual_scale: f32,
    pub logit_scale: f32,
    /// The head is the embedding.
    pub tied: bool,
    pub names: Names,
}

impl Spec {
    /// Elements of a token's queries, keys and values.
    pub fn projected(&self) -> usize {
        (self.heads + 2 * self.key_heads) * self.head_dim
    }

    /// Elements of all weights.
    fn weights(&self) -> u64 {
        let (hidden, head_dim, inner) = (self.hidden as u64, self.head_dim as u64, self.inner as u64);
        let queries = self.heads as u64 * head_dim;
        let up = if self.names.up.gated() { 2 * inner } else { inner };
        let layer = hidden * self.projected() as u64 + queries * hidden + hidden * up + inner * hidden
            // Norms and biases: an upper bound.
            + 8 * hidden + 2 * self.projected() as u64 + up;
        let embedding = self.vocabulary as u64 * hidden;
        let positions = if self.names.positions.is_some() { self.context as u64 * hidden } else { 0 };
        layer * self.layers.len() as u64 + if self.tied { embedding } else { 2 * embedding } + positions
    }

    /// What a model of this kind takes, in bytes, for texts of up to `tokens` tokens.
    pub fn memory(&self, tokens: usize) -> Memory {
        let slots = (tokens.min(self.context) + super::decoder::PASS) as u64;
        let wide = self.projected().max(2 * self.inner).max(self.hidden) as u64;
        Memory {
            weights: 4 * self.weights(),
            cache: 8 * slots * (self.key_heads * self.head_dim * self.layers.len()) as u64,
            working: 4 * (3 * super::decoder::PASS as u64 * wide + 2 * super::decoder::ROOM as u64),
            // As it comes, and the same widened.
            largest_tensor: 8 * self.vocabulary.max(self.inner) as u64 * self.hidden as u64,
        }
    }
}

/// Bytes that a model is foreseen to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All weights in f32.
    pub weights: u64,
    /// Keys and values.
    pub cache: u64,
    /// Activations of one pass.
    pub working: u64,
    /// A tensor while it is widened.
    pub largest_tensor: u64,
}

impl Memory {
    /// The most that is taken at once: while loading, or while answering.
    pub fn peak(&self) -> u64 {
        self.weights + self.largest_tensor.max(self.cache + self.working)
    }
}
