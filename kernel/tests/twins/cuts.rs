//! However a tensor is cut into windows, its bytes and its measures are the same.

use merge_studio_kernel::cpu::{Cpu, Reference};
use merge_studio_kernel::{BLOCK, Combine, Cut, Float, Groups, Mask, Mix, Power, Score};
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
        for groups in [Groups::Whole, Groups::Rows(case.row), Groups::Columns(case.row)] {
            let gram = drive::gram(&mut cpu, case, groups, cut).unwrap();
            prop_assert_eq!(bits(gram.sums), bits(drive::gram(&mut cpu, case, groups, whole).unwrap().sums));
        }

        let keep = (case.len as u64 / 3).max(1);
        let wanted: Vec<_> = (0..terms).map(|term| (term, Score::Magnitude, keep)).chain([(0, Score::Variance, keep)]).collect();
        let cuts = drive::select(&mut cpu, case, &wanted, case.len as u64, cut).unwrap();
        prop_assert_eq!(&cuts, &drive::select(&mut cpu, case, &wanted, case.len as u64, whole).unwrap());
        prop_assert_eq!(&cuts, &drive::select(&mut Reference, case, &wanted, case.len as u64, whole).unwrap());

        let band = |from| Mask::Band { score: Score::Magnitude, from, above: Cut::NONE };
        let masks: Vec<Mask> = cuts.iter().take(terms).map(|cut| band(*cut)).collect();
        let norms = |cut| {
            let norms = drive::norms(&mut Cpu::default(), case, Power::One, &masks, cut).unwrap();
            norms.iter().flat_map(|norms| [norms.all, norms.kept]).collect()
        };
        prop_assert_eq!(bits(norms(cut)), bits(norms(whole)));

        let combine = Combine::Vote {
            coefficients: vec![0.5; terms],
            weights: vec![0.5; terms],
            unweighted: false,
            normalize: true,
            least: f64::NEG_INFINITY,
            lambda: 1.0,
        };
        let mix = Mix { masks: masks.clone(), combine, out: Float::BF16 };
        prop_assert_eq!(drive::mix(&mut cpu, case, &mix, cut).unwrap(), drive::mix(&mut cpu, case, &mix, whole).unwrap());
    }
}
