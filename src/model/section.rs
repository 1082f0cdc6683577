//! The parts of a model that recipes merge each by itself (`modules`): which tensors and layers are a part's.

use super::{Family, Model, Place};

/// What stands first in the names of a part's tensors, by the names that mergekit has for parts. `text_decoder` has what is in no other.
const SECTIONS: [(&str, &[&str]); 7] = [
    (
        "multi_modal_projector",
        &[
            "multi_modal_projector.",
            "model.multi_modal_projector.",
            "visual.merger.",
            "model.visual.merger.",
            "model.visual.deepstack_merger_list.",
        ],
    ),
    ("vision_tower", &["vision_tower.", "model.vision_tower.", "visual.", "model.visual."]),
    ("vision_model", &["vision_model.", "model.vision_model."]),
    ("encoder", &["encoder.", "model.encoder."]),
    ("decoder", &["decoder.", "model.decoder."]),
    ("shared", &["shared.", "model.shared."]),
    (TEXT_DECODER, &[]),
];

const TEXT_DECODER: &str = "text_decoder";

/// A part of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section<'a> {
    /// All of it.
    Whole,
    /// The part of this name: one that mergekit has a name for, or what stands before the first dot of its tensors' names.
    Named(&'a str),
}

impl<'a> Section<'a> {
    /// The part that a recipe calls `name`.
    pub fn of(name: &'a str, whole: &str) -> Self {
        if name == whole { Self::Whole } else { Self::Named(name) }
    }

    /// Whether `tensor` of `model` is of this part.
    pub fn contains(self, model: &Model, tensor: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Named(name) if SECTIONS.iter().any(|(known, _)| *known == name) => model.section(tensor) == name,
            Self::Named(name) => tensor.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')),
        }
    }

    /// How the part's tensors are numbered.
    pub fn family(self, model: &Model) -> Family {
        if self == Self::Whole { model.family } else { Family::Generic }
    }

    /// Where one of the part's tensors stands along its layers. A projector has none.
    pub fn place(self, model: &Model, tensor: &str) -> Place {
        match self {
            Self::Whole => model.place(tensor),
            Self::Named("multi_modal_projector") => Place::Before,
            Self::Named(_) => Family::Generic
                .layer(tensor)
                .map_or(if tensor.contains("embed") { Place::Before } else { Place::After }, Place::Layer),
        }
    }

    /// How many layers the part has in `model`.
    pub fn layers(self, model: &Model) -> u64 {
        if self == Self::Whole {
            return model.layers();
        }
        let layer = |name: &String| match self.place(model, name) {
            Place::Layer(layer) => Some(layer.saturating_add(1)),
            _ => None,
        };
        model.tensors.keys().filter(|name| self.contains(model, name)).filter_map(layer).max().unwrap_or(0)
    }
}

impl Model {
    /// The names under which recipes may merge parts of this model.
    pub fn sections(&self) -> Vec<&'static str> {
        let has = |name: &str| self.tensors.keys().any(|tensor| self.section(tensor) == name);
        SECTIONS.iter().map(|(name, _)| *name).filter(|name| has(name)).collect()
    }

    /// The first of the known parts that `tensor` is of. Behind an encoder and a decoder the head goes with what they share, or with
    /// the decoder.
    fn section(&self, tensor: &str) -> &'static str {
        let found = SECTIONS.iter().find(|(_, prefixes)| prefixes.iter().any(|prefix| tensor.starts_with(prefix)));
        let has = |prefix: &str| {
            self.tensors.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
        };
        match found {
            Some((name, _)) => name,
            None if has("shared.") => "shared",
            None if has("decoder.") || has("model.decoder.") => "decoder",
            None => TEXT_DECODER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::model_of;

    #[test]
    fn the_parts_of_a_vision_language_model_are_told_by_their_names() {
        let model = model_of(&[
            "model.layers.0.mlp.up_proj.weight",
            "lm_head.weight",
            "visual.blocks.3.norm1.weight",
            "visual.patch_embed.proj.weight",
            "visual.merger.mlp.0.weight",
        ]);
        let vision = Section::of("vision_tower", "default");
        let of = |section: Section<'_>| model.tensors.keys().filter(|name| section.contains(&model, name)).count();
        assert_eq!((of(vision), of(Section::Named("multi_modal_projector")), of(Section::Whole)), (2, 1, 5));
        assert_eq!(vision.layers(&model), 4);
        assert_eq!(vision.place(&model, "visual.patch_embed.proj.weight"), Place::Before);
        assert_eq!(model.sections(), ["multi_modal_projector", "vision_tower", TEXT_DECODER]);
        let block = "visual.blocks.3.norm1.weight";
        assert!(Section::Named("visual").contains(&model, block) && !Section::Named("vis").contains(&model, block));
    }

    #[test]
    fn an_encoder_and_a_decoder_count_their_own_layers() {
        let model = model_of(&[
            "encoder.block.1.layer.0.q.weight",
            "decoder.block.4.layer.0.q.weight",
            "shared.weight",
            "lm_head.weight",
        ]);
        assert!(Section::Named("shared").contains(&model, "lm_head.weight"));
        assert_eq!((Section::Named("encoder").layers(&model), Section::Named("decoder").layers(&model)), (2, 5));
        assert_eq!(model.sections(), ["encoder", "decoder", "shared"]);
    }
}
