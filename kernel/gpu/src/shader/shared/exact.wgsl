// Arithmetic that is the same to the bit everywhere. WGSL rounds +, - and * correctly, but lets a compiler fuse and
// reorder them. A value that went through an integer exclusive-or with a zero only known at run time can be neither.

fn rounded(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ head.zero);
}

fn rounded4(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4<u32>(head.zero));
}

// sum + c·x, unfused.
fn add_product(sum: vec4<f32>, c: f32, x: vec4<f32>) -> vec4<f32> {
    return rounded4(sum + rounded4(c * x));
}

// a / b, correctly rounded (WGSL's own division may be 2.5 ULP off): a long division of the significands, 24 bits and
// one for rounding; what remains makes the result inexact. `b` is normal; a subnormal result becomes zero.
fn divide(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let a_bits = bitcast<vec4<u32>>(a);
    let b_bits = bitcast<vec4<u32>>(b);
    let sign = (a_bits ^ b_bits) & vec4<u32>(0x80000000u);
    let divisor = (b_bits & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    var rest = (a_bits & vec4<u32>(0x7fffffu)) | vec4<u32>(0x800000u);
    let less = rest < divisor;
    rest = select(rest, rest << vec4<u32>(1u), less);
    let exponent = vec4<i32>((a_bits >> vec4<u32>(23u)) & vec4<u32>(255u))
        - vec4<i32>((b_bits >> vec4<u32>(23u)) & vec4<u32>(255u))
        + select(vec4<i32>(127), vec4<i32>(126), less);
    var quotient = vec4<u32>();
    for (var bit = 0u; bit < 25u; bit++) {
        let fits = rest >= divisor;
        quotient = (quotient << vec4<u32>(1u)) | select(vec4<u32>(), vec4<u32>(1u), fits);
        rest = select(rest, rest - divisor, fits) << vec4<u32>(1u);
    }
    let inexact = select(vec4<u32>(), vec4<u32>(1u), rest != vec4<u32>());
    let even = quotient >> vec4<u32>(1u);
    let up = quotient & (inexact | even) & vec4<u32>(1u);
    // The significand's leading one adds itself to the exponent, as does a carry out of rounding.
    let bits = (vec4<u32>(exponent - vec4<i32>(1)) << vec4<u32>(23u)) + even + up;
    let vanishes = (exponent < vec4<i32>(1)) | ((a_bits & vec4<u32>(0x7fffffffu)) == vec4<u32>());
    return bitcast<vec4<f32>>(sign | select(bits, vec4<u32>(), vanishes));
}
