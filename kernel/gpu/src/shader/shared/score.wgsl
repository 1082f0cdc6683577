// What the elements of a term are ranked by, as bits that are ordered like the scores.

// The scores of the variance across all terms, where the call ranks by it; else zeros. The CPU has 53 bits for it, and two floats
// have 48: they round to different scores only where the variance is that near to the middle between two of them.
fn varied_scores(quad: u32, base: vec4<f32>) -> vec4<u32> {
    if head.varied == 0u {
        return vec4<u32>();
    }
    var count = 0.0;
    var first = vec4<f32>();
    var sum = Twofold(vec4<f32>(), vec4<f32>());
    for (var source = 0u; source < head.inputs; source++) {
        if source != head.base {
            let term = load_term(source, quad, base);
            first = select(first, term, count == 0.0);
            sum = sum_of_two(sum, exact_sum(term, -first));
            count += 1.0;
        }
    }
    let mean = over(sum, count);
    var squares = Twofold(vec4<f32>(), vec4<f32>());
    for (var source = 0u; source < head.inputs; source++) {
        if source != head.base {
            let apart = exact_sum(load_term(source, quad, base), -first);
            let deviation = sum_of_two(apart, Twofold(-mean.high, -mean.low));
            refuse_outside(bitcast<vec4<u32>>(deviation.high), SMALLEST_DEVIATION);
            squares = sum_of_two(squares, square(deviation));
        }
    }
    let variance = over(squares, count);
    return scores_of(rounded4(variance.high + variance.low));
}

// |t| times the scale of its row.
fn scaled_scores(term: vec4<f32>, quad: u32) -> vec4<u32> {
    let rows = (positions(quad) + vec4<u32>(head.phase)) / vec4<u32>(head.row);
    let inside = positions(quad) < vec4<u32>(head.len);
    let bits = select(vec4<u32>(), vec4<u32>(extra[rows.x], extra[rows.y], extra[rows.z], extra[rows.w]), inside);
    refuse_outside(bits, SMALLEST_NORMAL);
    let scores = scores_of(rounded4(abs(term) * bitcast<vec4<f32>>(bits)));
    let vanishes = (scores < vec4<u32>(SMALLEST_NORMAL)) & (term != vec4<f32>()) & (bits != vec4<u32>());
    refuses = refuses || any(vanishes);
    return scores;
}

// The scores of one term's quad.
fn ranked(score: u32, source: u32, quad: u32) -> vec4<u32> {
    let base = load_base(quad);
    if score == SCORE_VARIANCE {
        return varied_scores(quad, base);
    }
    let term = load_term(source, quad, base);
    if score == SCORE_SCALED {
        return scaled_scores(term, quad);
    }
    return scores_of(term);
}

// x / n for a small whole number n.
fn over(x: Twofold, n: f32) -> Twofold {
    let quotient = divide(x.high, vec4<f32>(n));
    let product = exact_product(quotient, vec4<f32>(n));
    let rest = rounded4(rounded4(rounded4(x.high - product.high) - product.low) + x.low);
    return exact_sum(quotient, divide(rest, vec4<f32>(n)));
}
