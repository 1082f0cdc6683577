// Numbers of twice the width: an unevaluated sum, low less than half a unit of high (Dekker 1971).

struct Twofold {
    high: vec4<f32>,
    low: vec4<f32>,
}

fn exact_sum(a: vec4<f32>, b: vec4<f32>) -> Twofold {
    let sum = rounded4(a + b);
    let of_b = rounded4(sum - a);
    let of_a = rounded4(sum - of_b);
    return Twofold(sum, rounded4(rounded4(a - of_a) + rounded4(b - of_b)));
}

fn exact_product(a: vec4<f32>, b: vec4<f32>) -> Twofold {
    let a_high = upper_half(a);
    let a_low = rounded4(a - a_high);
    let b_high = upper_half(b);
    let b_low = rounded4(b - b_high);
    let product = rounded4(a * b);
    let middle = rounded4(rounded4(rounded4(a_high * b_high) - product) + rounded4(a_high * b_low));
    return Twofold(product, rounded4(rounded4(middle + rounded4(a_low * b_high)) + rounded4(a_low * b_low)));
}

// Twelve bits of the significand, so that products of halves are exact.
fn upper_half(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & vec4<u32>(0xfffff000u));
}

fn sum_of_two(a: Twofold, b: Twofold) -> Twofold {
    let sum = exact_sum(a.high, b.high);
    return exact_sum(sum.high, rounded4(sum.low + rounded4(a.low + b.low)));
}

// Nothing but a number of one width.
fn twofold(x: vec4<f32>) -> Twofold {
    return Twofold(x, vec4<f32>());
}

fn square(x: Twofold) -> Twofold {
    let product = exact_product(x.high, x.high);
    return exact_sum(product.high, rounded4(product.low + rounded4(2.0 * rounded4(x.high * x.low))));
}
