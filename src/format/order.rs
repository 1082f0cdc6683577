//! The one sort of everything that is sorted by a number: std's takes five kilobytes of the page for every type that it sorts.

use std::collections::{BTreeMap, BTreeSet};

/// The places of items in the order of their keys; equal keys stay in their order.
pub fn order(keys: impl IntoIterator<Item = u64>) -> Vec<usize> {
    let mut order: Vec<(u64, u32)> = keys.into_iter().zip(0..).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, place)| place as usize).collect()
}

/// The items in the order of their keys; equal keys stay in their order.
pub fn in_order<T>(items: Vec<T>, key: impl Fn(&T) -> u64) -> Vec<T> {
    let order = order(items.iter().map(key));
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| items[place].take()).collect()
}

/// The items as a set. What std collects into one, it sorts first.
pub fn set_of<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}

/// Leaves in a map what `keep` says. To remove from one takes three kilobytes of the page for every type that it is of; this fills another one.
pub fn retain<K: Ord, V>(map: &mut BTreeMap<K, V>, keep: &mut dyn FnMut(&K, &V) -> bool) {
    let all = std::mem::take(map);
    map.extend(all.into_iter().filter(|(key, value)| keep(key, value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_what_it_is_told_to() {
        let mut map = BTreeMap::from([(1, "a"), (2, "b"), (3, "c")]);
        retain(&mut map, &mut |key, value| *key != 1 && *value != "c");
        assert_eq!(map, BTreeMap::from([(2, "b")]));
    }

    #[test]
    fn equal_keys_keep_their_order() {
        assert_eq!(order([3, 1, 3, 0]), [3, 1, 0, 2]);
        assert_eq!(in_order(vec!["bb", "a", "cc", ""], |text| text.len() as u64), ["", "a", "bb", "cc"]);
    }
}
