//! Which tensors the output has, in the order of its bytes, and under which name each input holds them.

use std::collections::BTreeSet;

use super::groups::{Group, Input};
use crate::format::in_order;
use crate::model::{Family, Model, Place, Section, Tensor};

/// An output tensor that is wanted of a group.
pub(super) struct Wanted<'g, 'a> {
    pub name: String,
    pub group: &'g Group<'a>,
    /// Position along the layers of the group, 0 to 1.
    pub t: f64,
    /// The name to look for in each member; shorter than the members where the last of them do not count.
    pub lookups: Vec<String>,
}

/// One member of a group, as far as one stretch of the output is concerned.
struct Stretch<'a> {
    model: &'a Model,
    family: Family,
    /// The layer that it gives, and the one that it becomes.
    layer: Option<(u64, u64)>,
}

impl Stretch<'_> {
    /// The member's name for what the output calls `name`.
    fn lookup(&self, name: &str) -> String {
        self.layer.map_or_else(|| name.to_owned(), |(own, _)| self.family.with_layer(name, own))
    }
}

/// A model's tensors by the place of their bytes.
pub(super) fn by_place(model: &Model) -> Vec<&str> {
    let tensors: Vec<(&String, &Tensor)> = model.tensors.iter().collect();
    // Files first: no file has 2⁴⁸ bytes.
    let ordered = in_order(tensors, |(_, tensor)| (tensor.file as u64) << 48 | tensor.offset);
    ordered.into_iter().map(|(name, _)| name.as_str()).collect()
}

/// The tensors that `groups` make: before the layers by the first group, then layer by layer, then after them by the last group, cut
/// to as many members as the first has (so does mergekit). Of whole models, which are one group, all in the donor's order.
pub(super) fn wanted<'g, 'a>(
    groups: &'g [Group<'a>],
    inputs: &[Input<'a>],
    donor: usize,
    section: Section<'_>,
    sliced: bool,
) -> Vec<Wanted<'g, 'a>> {
    let ordered: Vec<Vec<&str>> = inputs.iter().map(|input| by_place(input.model)).collect();
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return Vec::new() };
    let mut wanted = Vec::new();
    let mut stretch = |group: &'g Group<'a>,
                       count: usize,
                       at: Option<(u64, u64)>,
                       t: &dyn Fn(&str) -> f64,
                       is_in: &dyn Fn(&Model, &str) -> bool| {
        let members = &group.members[..count.min(group.members.len())];
        let stretches: Vec<Stretch<'_>> = members
            .iter()
            .map(|member| Stretch {
                model: inputs[member.input].model,
                family: section.family(inputs[member.input].model),
                layer: at.map(|(offset, out)| (member.first + offset, out)),
            })
            .collect();
        // The donor's tensors in the order of their bytes, then those that only others have. Names that are aliases of one already
        // listed are not listed again.
        let head = members.iter().position(|member| member.input == donor);
        let rest = (0..members.len()).filter(|member| Some(*member) != head);
        let mut taken: BTreeSet<(usize, &str)> = BTreeSet::new();
        let mut outputs: BTreeSet<String> = BTreeSet::new();
        for member in head.into_iter().chain(rest) {
            let own = &stretches[member];
            for &name in &ordered[members[member].input] {
                let belongs = match own.layer {
                    Some((layer, _)) => section.place(own.model, name) == Place::Layer(layer),
                    None => is_in(own.model, name),
                };
                if !belongs || !section.contains(own.model, name) || !taken.insert((member, name)) {
                    continue;
                }
                let output = own.layer.map_or_else(|| name.to_owned(), |(_, out)| own.family.with_layer(name, out));
                // Two spellings of a layer's number (`7` and `07`) are one name in the output: the first counts.
                if !outputs.insert(output.clone()) {
                    continue;
                }
                for (other, stretch) in stretches.iter().enumerate() {
                    // A head may be read from the embedding it is tied to; that does not use the embedding up.
                    if let Some((alias, _)) = stretch.model.find(&stretch.lookup(&output))
                        && stretch.model.is_head(alias) == stretch.model.is_head(name)
                    {
                        taken.insert((other, alias));
                    }
                }
                let mut lookups: Vec<String> = stretches.iter().map(|stretch| stretch.lookup(&output)).collect();
                name.clone_into(&mut lookups[member]);
                wanted.push(Wanted { t: t(&output), name: output, group, lookups });
            }
        }
    };
    if !sliced {
        // Embeddings, final norm and head stand at t = 0; so says mergekit, also of the end.
        let model = inputs[donor].model;
        let t = |name: &str| match section.place(model, name) {
            Place::Layer(layer) => position(layer, first.layers),
            _ => 0.0,
        };
        stretch(first, usize::MAX, None, &t, &|_, _| true);
        return wanted;
    }
    stretch(first, usize::MAX, None, &|_| 0.0, &|model, name| section.place(model, name) == Place::Before);
    let mut out = 0;
    for group in groups {
        for offset in 0..group.layers {
            stretch(group, usize::MAX, Some((offset, out)), &|_| position(offset, group.layers), &|_, _| false);
            out += 1;
        }
    }
    stretch(last, first.members.len(), None, &|_| 0.0, &|model, name| section.place(model, name) == Place::After);
    wanted
}

/// Where a layer stands among `layers`: one alone stands at the end.
fn position(layer: u64, layers: u64) -> f64 {
    if layers <= 1 { 1.0 } else { layer as f64 / (layers - 1) as f64 }
}
