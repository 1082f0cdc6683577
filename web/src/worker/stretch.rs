//! Which worker makes which tensors: a stretch of neighbours each, and whoever is done takes half of what another has left.
//!
//! A worker reads its stretch from front to back in one stream a model. Every other place to begin at costs a new stream, and what
//! the browser had read ahead in the old one.

use std::collections::VecDeque;

/// Jobs by their numbers, in the plan's order.
pub(super) type Stretch = VecDeque<usize>;

/// Bytes of input that are not parted any more: a new stream would take as long.
const LEAST: u64 = 8 << 20;

/// All jobs, by their `bytes` of input, in a stretch for each of `workers` workers: about equal.
pub(super) fn stretches(bytes: &[u64], workers: u32) -> VecDeque<Stretch> {
    let each = bytes.iter().sum::<u64>().div_ceil(u64::from(workers.max(1))).max(1);
    let mut all: VecDeque<Stretch> = VecDeque::new();
    let mut before = 0;
    for (job, own) in bytes.iter().enumerate() {
        // Whose share the middle of it lies in.
        if all.is_empty() || (before + own / 2) / each >= all.len() as u64 {
            all.push_back(Stretch::new());
        }
        if let Some(last) = all.back_mut() {
            last.push_back(job);
        }
        before += own;
    }
    all
}

/// Takes the back half of the stretch that has most bytes left; `None` where all are too short.
pub(super) fn halve<'a>(left: impl Iterator<Item = &'a mut Stretch>, bytes: &[u64]) -> Option<Stretch> {
    let sum = |stretch: &Stretch| stretch.iter().map(|job| bytes[*job]).sum::<u64>();
    let longest = left.max_by_key(|stretch| sum(stretch))?;
    let whole = sum(longest);
    if whole < LEAST {
        return None;
    }
    let mut front = 0;
    let kept = longest.iter().take_while(|job| {
        front += bytes[**job];
        front <= whole / 2
    });
    let kept = kept.count();
    Some(longest.split_off(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn every_worker_gets_neighbours_and_about_as_much() {
        let bytes = [40, 1, 1, 1, 1, 1, 1, 1, 1, 30].map(|size| size * MIB);
        let jobs = |workers| stretches(&bytes, workers).into_iter().map(Vec::from).collect::<Vec<_>>();
        assert_eq!(jobs(1), [(0..10).collect::<Vec<_>>()]);
        assert_eq!(jobs(2), [(0..1).collect::<Vec<_>>(), (1..10).collect()]);
        assert_eq!(jobs(3).concat(), (0..10).collect::<Vec<_>>(), "none is lost, none is twice");
        assert!(stretches(&[], 2).is_empty());
        assert_eq!(stretches(&[0, 0], 2), [Stretch::from([0, 1])], "what needs no input is made, too");
    }

    #[test]
    fn who_is_done_takes_the_back_half_of_the_longest() {
        let bytes = [4 * MIB; 20];
        let (mut short, mut long): (Stretch, Stretch) = ((0..2).collect(), (2..12).collect());
        assert_eq!(halve([&mut short, &mut long].into_iter(), &bytes), Some((7..12).collect()));
        assert_eq!(long, (2..7).collect::<Stretch>());
        assert_eq!(halve([&mut short].into_iter(), &bytes), Some(Stretch::from([1])));
        assert_eq!(halve([&mut short].into_iter(), &bytes), None, "what is left is too little");
        let mut one = Stretch::from([3]);
        assert_eq!(halve([&mut one].into_iter(), &[0, 0, 0, 9 * MIB]), Some(Stretch::from([3])), "one is not parted");
        assert_eq!((one, halve([].into_iter(), &bytes)), (Stretch::new(), None));
    }
}
