// NearSwap, one thread a quad. CPU twin: `Combine::Near` in `kernel::cpu`.

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3<u32>) {
    let quad = invocation.x;
    if quad >= head.quads {
        return;
    }
    let none = vec4<f32>();
    let one = vec4<f32>(1.0);
    let varied = varied_scores(quad, none);
    let base = load_masked(terms[head.swapped], quad, none, varied);
    let other = load_masked(terms[1u - head.swapped], quad, none, varied);
    let apart = abs(rounded4(base - other));
    let least = vec4<f32>(NEAREST);
    let quotient = divide(vec4<f32>(head.t), select(apart, least, apart < least));
    let share = min(max(quotient, none), one);
    store(quad, none, rounded4(rounded4(share * other) + rounded4(rounded4(one - share) * base)));
    report();
}
