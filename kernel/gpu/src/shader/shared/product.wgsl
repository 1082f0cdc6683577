// The product of two terms at one element, in all four places, for groups that are no whole quads.

fn product_at(pair: Pair, at: u32) -> Twofold {
    let quad = at / LANES;
    let base = load_base(quad);
    let left = load_term(pair.left, quad, base)[at % LANES];
    let right = load_term(pair.right, quad, base)[at % LANES];
    refuse_outside(bitcast<vec4<u32>>(vec4<f32>(left, right, left, right)), SMALLEST_FACTOR);
    return exact_product(vec4<f32>(left), vec4<f32>(right));
}
