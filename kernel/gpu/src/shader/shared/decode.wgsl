// The raw bytes of the inputs as f32, by integer operations: a GPU may flush an f16's subnormals, and assume no NaN.
// A thread works on a quad: four elements that share a Philox block, and whole words at 16 bits.

var<private> refuses: bool = false;

// Magnitudes that a GPU may treat differently (NaN, infinity, nearly zero) send the tensor to the CPU. The bits of
// magnitudes are ordered like the magnitudes.
fn refuse_outside(bits: vec4<u32>, smallest: u32) {
    let magnitude = bits & vec4<u32>(0x7fffffffu);
    let outside = (magnitude < vec4<u32>(smallest)) | (magnitude >= vec4<u32>(LARGEST));
    refuses = refuses || any(outside & (magnitude != vec4<u32>()));
}

// The last thing a kernel does.
fn report() {
    if refuses {
        atomicOr(&refused, 1u);
    }
}

fn widen_f16(halves: vec4<u32>) -> vec4<u32> {
    let sign = (halves & vec4<u32>(0x8000u)) << vec4<u32>(16u);
    let exponent = (halves >> vec4<u32>(10u)) & vec4<u32>(31u);
    let fraction = halves & vec4<u32>(0x3ffu);
    let normal = ((exponent + vec4<u32>(112u)) << vec4<u32>(23u)) | (fraction << vec4<u32>(13u));
    // A subnormal is fraction · 2⁻²⁴: a normal f32, once its leading one is found. That of zero is not used.
    let leading = firstLeadingBit(fraction | vec4<u32>(1u));
    let subnormal = ((leading + vec4<u32>(103u)) << vec4<u32>(23u))
        | ((fraction << (vec4<u32>(23u) - leading)) & vec4<u32>(0x7fffffu));
    let special = vec4<u32>(0x7f800000u) | (fraction << vec4<u32>(13u));
    let small = select(subnormal, vec4<u32>(), fraction == vec4<u32>());
    let magnitude = select(normal, small, exponent == vec4<u32>());
    return sign | select(magnitude, special, exponent == vec4<u32>(31u));
}

// Four elements of an input. Past the end of the tensor they are zeros.
fn load(source: u32, quad: u32) -> vec4<f32> {
    let place = sources[source];
    var bits: vec4<u32>;
    if place.dtype == DTYPE_F32 {
        let at = place.offset + quad * 4u;
        bits = vec4<u32>(data[at], data[at + 1u], data[at + 2u], data[at + 3u]);
    } else {
        let at = place.offset + quad * 2u;
        let words = vec2<u32>(data[at], data[at + 1u]);
        let halves = (words.xxyy >> vec4<u32>(0u, 16u, 0u, 16u)) & vec4<u32>(0xffffu);
        if place.dtype == DTYPE_BF16 {
            bits = halves << vec4<u32>(16u);
        } else {
            bits = widen_f16(halves);
        }
    }
    refuse_outside(bits, SMALLEST);
    return bitcast<vec4<f32>>(bits);
}

// The base of the task vectors; zeros where the terms are the inputs themselves.
fn load_base(quad: u32) -> vec4<f32> {
    if head.base == NO_BASE {
        return vec4<f32>();
    }
    return load(head.base, quad);
}

// A term: an input, less the base where there is one. Products of magnitudes from `SMALLEST` on do not vanish.
fn load_term(source: u32, quad: u32, base: vec4<f32>) -> vec4<f32> {
    let term = rounded4(load(source, quad) - base);
    refuse_outside(bitcast<vec4<u32>>(term), SMALLEST);
    return term;
}

// What the magnitudes of a term are ordered by.
fn scores_of(term: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(term) & vec4<u32>(0x7fffffffu);
}

// Positions within the chunk of a quad's elements.
fn positions(quad: u32) -> vec4<u32> {
    return vec4<u32>(quad * LANES) + vec4<u32>(0u, 1u, 2u, 3u);
}
