// Which elements of a term take part: a rule, evaluated where it is needed, never an array.

@group(0) @binding(3) var<storage, read> terms: array<Term>;

// The 64-bit product of two words as (high, low), by 16-bit halves.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    let middle = a_high * b_low + (low >> 16u);
    let other = a_low * b_high + (middle & 0xffffu);
    return vec2<u32>(a_high * b_high + (middle >> 16u) + (other >> 16u), (other << 16u) | (low & 0xffffu));
}

// Philox 4x32-10 (Salmon et al. 2011): four random words of a counter.
fn philox(counter: vec4<u32>, first_key: vec2<u32>) -> vec4<u32> {
    var words = counter;
    var key = first_key;
    for (var round = 0u; round < PHILOX_ROUNDS; round++) {
        let x = wide_product(PHILOX_MULTIPLIER_X, words.x);
        let z = wide_product(PHILOX_MULTIPLIER_Z, words.z);
        words = vec4<u32>(z.x ^ words.y ^ key.x, z.y, x.x ^ words.w ^ key.y, x.y);
        key += vec2<u32>(PHILOX_WEYL_X, PHILOX_WEYL_Y);
    }
    return words;
}

fn in_cut(scores: vec4<u32>, quad: u32, threshold: u32, ties_end: u32) -> vec4<bool> {
    let tied = (scores == vec4<u32>(threshold)) & (positions(quad) < vec4<u32>(ties_end));
    return (scores > vec4<u32>(threshold)) | tied;
}

// `varied` are the quad's varied_scores.
fn kept(term: Term, quad: u32, values: vec4<f32>, varied: vec4<u32>) -> vec4<bool> {
    if term.mask == MASK_BAND {
        var scores = varied;
        if term.score == SCORE_MAGNITUDE {
            scores = scores_of(values);
        } else if term.score == SCORE_SCALED {
            scores = scaled_scores(values, quad);
        }
        return in_cut(scores, quad, term.threshold, term.ties_end) & !in_cut(scores, quad, term.above, term.above_end);
    }
    if term.mask == MASK_DRAWN {
        let bits = extra[term.drawn + quad / 8u] >> (quad % 8u * LANES);
        return ((vec4<u32>(bits) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(1u)) == vec4<u32>(1u);
    }
    if term.mask == MASK_COIN {
        let low = head.first_quad_low + quad;
        let high = head.first_quad_high + select(0u, 1u, low < quad);
        let words = philox(vec4<u32>(low, high, term.stream_0, term.stream_1), vec2<u32>(term.key_0, term.key_1));
        return words < vec4<u32>(term.threshold);
    }
    return vec4<bool>(term.mask == MASK_ALL);
}

fn load_masked(term: Term, quad: u32, base: vec4<f32>, varied: vec4<u32>) -> vec4<f32> {
    let values = load_term(term.source, quad, base);
    return select(vec4<f32>(), values, kept(term, quad, values, varied));
}
