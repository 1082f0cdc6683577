// The product of two terms at one element, for groups that are no whole quads.

fn product_at(pair: Pair, at: u32) -> f32 {
    let quad = at / LANES;
    let base = load_base(quad);
    let left = load_term(pair.left, quad, base)[at % LANES];
    let right = load_term(pair.right, quad, base)[at % LANES];
    refuse_outside(bitcast<vec4<u32>>(vec4<f32>(left, right, left, right)), SMALLEST_FACTOR);
    return left * right;
}
