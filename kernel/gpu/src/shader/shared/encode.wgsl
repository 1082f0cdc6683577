// The merged values as the output's bytes, rounded to nearest, ties to even, by integer operations.

@group(0) @binding(6) var<storage, read_write> results: array<u32>;

fn narrow_bf16(bits: vec4<u32>) -> vec4<u32> {
    let odd = (bits >> vec4<u32>(16u)) & vec4<u32>(1u);
    return (bits + vec4<u32>(0x7fffu) + odd) >> vec4<u32>(16u);
}

fn narrow_f16(bits: vec4<u32>) -> vec4<u32> {
    let sign = (bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u);
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    // Normal: the exponent's bias changes by 112; what overflows becomes infinity.
    let biased = magnitude - vec4<u32>(112u << 23u);
    let odd = (biased >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = min((biased + vec4<u32>(0xfffu) + odd) >> vec4<u32>(13u), vec4<u32>(0x7c00u));
    // Subnormal: a whole number of 2⁻²⁴. From 25 places on nothing is left.
    let significand = (magnitude & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    let places = clamp(vec4<i32>(126) - vec4<i32>(magnitude >> vec4<u32>(23u)), vec4<i32>(1), vec4<i32>(25));
    let shift = vec4<u32>(places);
    let whole = significand >> shift;
    let rest = significand & ((vec4<u32>(1u) << shift) - vec4<u32>(1u));
    let half = vec4<u32>(1u) << (shift - vec4<u32>(1u));
    let up = (rest > half) | ((rest == half) & ((whole & vec4<u32>(1u)) == vec4<u32>(1u)));
    let subnormal = whole + select(vec4<u32>(), vec4<u32>(1u), up);
    return sign | select(normal, subnormal, magnitude < vec4<u32>(113u << 23u));
}

// The combined terms, with the base where there is one.
fn store(quad: u32, base: vec4<f32>, combined: vec4<f32>) {
    var values = combined;
    if head.base != NO_BASE {
        values = rounded4(combined + base);
    }
    let bits = bitcast<vec4<u32>>(values);
    if head.dtype == DTYPE_F32 {
        let at = quad * 4u;
        results[at] = bits.x;
        results[at + 1u] = bits.y;
        results[at + 2u] = bits.z;
        results[at + 3u] = bits.w;
        return;
    }
    var halves: vec4<u32>;
    if head.dtype == DTYPE_BF16 {
        halves = narrow_bf16(bits);
    } else {
        halves = narrow_f16(bits);
    }
    results[quad * 2u] = halves.x | (halves.y << 16u);
    results[quad * 2u + 1u] = halves.z | (halves.w << 16u);
}
