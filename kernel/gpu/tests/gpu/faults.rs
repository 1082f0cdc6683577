//! GPUs that are not as they should be: one that fuses multiplications and additions still passes, a faulty one does not.

use merge_studio_gpu::{Gpu, GpuError, GpuOptions, Kernel};
use pollster::block_on;

use crate::compare::Tolerance;
use crate::{Body, bodies};

pub const TESTS: &[(&str, Body)] = &[
    ("fused_products_change_no_vote_and_no_selection", fused_products),
    ("faulty_shaders_fail_the_probe", faulty_shaders),
];

/// Opens a GPU whose shaders have `right` replaced; says whether any of them has it.
fn open_with(right: &'static str, wrong: &'static str) -> Result<Gpu, GpuError> {
    let found = Kernel::ALL.iter().any(|kernel| kernel.wgsl().contains(right));
    assert!(found, "no shader has {right:?}");
    let wgsl = Box::new(move |kernel: Kernel| kernel.wgsl().replace(right, wrong));
    block_on(Gpu::open_with(&GpuOptions { wgsl, ..GpuOptions::default() }))
}

fn fused_products(_: &mut Gpu) {
    // What the GPU is held to: one ULP at 16 bits, four at F32. A vote that flipped would be off by whole terms.
    let agreed = Tolerance { ulps_of_16: 1.0, ulps_of_32: 4.0, sums: 1e-6, may_decline: true };
    let mut gpu = open_with("rounded4(sum + rounded4(c * x))", "fma(vec4<f32>(c), x, sum)")
        .unwrap_or_else(|error| panic!("{error}"));
    bodies::votes_that_cancel_elect_plus(&mut gpu, &agreed);
    bodies::votes_are_as_defined(&mut gpu, &agreed);
    bodies::sums_are_as_defined(&mut gpu, &agreed);
    bodies::selections_keep_exactly_what_sorting_keeps(&mut gpu, &agreed);
}

fn faulty_shaders(_: &mut Gpu) {
    for (right, wrong, what) in [
        // Truncation instead of rounding; halves away from even.
        ("(bits + vec4<u32>(0x7fffu) + odd)", "bits", "rounding to BF16"),
        ("(biased + vec4<u32>(0xfffu) + odd)", "(biased + vec4<u32>(0x1000u))", "rounding to F16"),
        // Subnormals flushed, in and out.
        ("let subnormal = whole + ", "let subnormal = 0u * whole + ", "rounding to F16"),
        ("select(subnormal, vec4<u32>(), fraction == vec4<u32>())", "vec4<u32>()", "F16 inputs"),
        // No ties among votes; zero elects minus; the wrong sign summed.
        ("& !tied", "", "votes"),
        ("select(plus, minus, elects_minus)", "minus", "votes"),
        // Division as the hardware likes it.
        ("quotient & (inexact | even) & vec4<u32>(1u)", "vec4<u32>()", "quotients"),
        ("PHILOX_ROUNDS; round", "PHILOX_ROUNDS - 1u; round", "coins"),
        ("(middle >> 16u) + (other >> 16u)", "(middle >> 16u)", "coins"),
        ("(scores > vec4<u32>(threshold)) | tied", "(scores >= vec4<u32>(threshold))", "bands"),
        // A reduction that forgets a part, a counter that forgets the padding.
        ("i < SIXTEEN; i++", "i < SIXTEEN - 1u; i++", "Gram matrices"),
        ("quad * LANES + i < head.len && ", "", "histograms"),
        ("select(1u, 0x10001u, below == 0u)", "0x10001u", "histograms"),
        ("found_wanted <= before + counts[lane]", "found_wanted < before + counts[lane]", "ties"),
        // A variance in floats of single width, an average of several that is their sum, votes that are weighed when they should not.
        (
            "return Twofold(sum, rounded4(rounded4(a - of_a) + rounded4(b - of_b)));",
            "return Twofold(sum, vec4<f32>());",
            "variances",
        ),
        (
            "return exact_sum(quotient, divide(rest, vec4<f32>(n)));",
            "return Twofold(quotient, vec4<f32>());",
            "variances",
        ),
        ("divide(values, max(counts, vec4<f32>(1.0)))", "values", "overlaps"),
        ("select(term.coefficient, 1.0, head.unweighted != 0u)", "term.coefficient", "overlaps"),
        ("select(sum, vec4<f32>(head.least), sum < vec4<f32>(head.least))", "sum", "overlaps"),
        ("apart < least", "apart > least", "distances"),
        ("min(max(quotient, none), one)", "max(quotient, none)", "distances"),
        ("groups %= vec4<u32>(head.row)", "groups /= vec4<u32>(head.row)", "groups"),
        ("(row + 1u) * head.row - head.phase", "(row + 1u) * head.row - 1u", "groups"),
        ("any(outside & (magnitude != vec4<u32>()))", "false", "NaN"),
    ] {
        match open_with(right, wrong) {
            Err(error) => assert_eq!(error, GpuError::ProbeFailed { what }, "{right:?} as {wrong:?}"),
            Ok(_) => panic!("{right:?} as {wrong:?} went unnoticed"),
        }
    }
}
