//! However a tensor is cut into windows, its bytes and its measures are the same.

use merge_studio_kernel::cpu::{Cpu, Reference};
use merge_studio_kernel::{BLOCK, Combine, Float, Mask, Mix};
use proptest::prelude::*;

use crate::case;
use crate::drive;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_at_blocks_gives_the_same_bytes_and_measures(which in 0..case::all().len(), blocks in 1..6_usize) {
        let case = &case::all()[which];
        let terms = case.terms();
        let (whole, cut) = (case.len, blocks * BLOCK);
        let mut cpu = Cpu::default();

        let bits = |sums: Vec<f64>| sums.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let gram = drive::gram(&mut cpu, case, cut).unwrap();
        prop_assert_eq!(bits(gram.sums), bits(drive::gram(&mut cpu, case, whole).unwrap().sums));

        let keep = vec![Some((case.len as u64 / 3).max(1)); terms];
        let masks = drive::select(&mut cpu, case, &keep, cut).unwrap();
        prop_assert_eq!(&masks, &drive::select(&mut cpu, case, &keep, whole).unwrap());
        prop_assert_eq!(&masks, &drive::select(&mut Reference, case, &keep, whole).unwrap());

        let norms = |cut| drive::l1(&mut Cpu::default(), case, &masks, cut).unwrap().iter().flat_map(|norms| [norms.all, norms.kept]).collect();
        prop_assert_eq!(bits(norms(cut)), bits(norms(whole)));

        let mix = Mix {
            space: case.space,
            masks: masks.iter().copied().chain([Mask::All]).take(terms).collect(),
            combine: Combine::Vote { coefficients: vec![0.5; terms], weights: vec![0.5; terms], normalize: true, lambda: 1.0 },
            precision: case.precision,
            out: Float::BF16,
        };
        prop_assert_eq!(drive::mix(&mut cpu, case, &mix, cut).unwrap(), drive::mix(&mut cpu, case, &mix, whole).unwrap());
    }
}
