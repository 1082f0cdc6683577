// The sum over a block: 256 threads' sums, by sixteens and then by sixteen. Two barriers instead of a tree's eight (they
// are what costs on a CPU that stands in for a GPU). Numbers are of twice the width, so that what is made of sums is, but
// once in millions of times, the number that the CPU's 53 bits give.

const SIXTEEN: u32 = 16u;
const_assert SIXTEEN * SIXTEEN == WORKGROUP;

// Two sums at once: their high parts and their low ones.
var<workgroup> parts: array<vec4<f32>, WORKGROUP + SIXTEEN>;

fn strided_sum(first: u32, stride: u32) -> vec4<f32> {
    var sum = twofold(vec4<f32>());
    for (var i = 0u; i < SIXTEEN; i++) {
        let part = parts[first + i * stride];
        sum = sum_of_two(sum, Twofold(part.xyxy, part.zwzw));
    }
    return vec4<f32>(sum.high.xy, sum.low.xy);
}

// All threads call it; the first one gets the answer.
fn block_sum(lane: u32, value: vec4<f32>) -> vec4<f32> {
    parts[lane] = value;
    workgroupBarrier();
    if lane < SIXTEEN {
        parts[WORKGROUP + lane] = strided_sum(lane, SIXTEEN);
    }
    workgroupBarrier();
    if lane != 0u {
        return vec4<f32>();
    }
    return strided_sum(WORKGROUP, 1u);
}

// The sums of two quads, as `block_sum` takes them.
fn sums_of(a: Twofold, b: Twofold) -> vec4<f32> {
    let halves = sum_of_two(
        Twofold(vec4<f32>(a.high.xy, b.high.xy), vec4<f32>(a.low.xy, b.low.xy)),
        Twofold(vec4<f32>(a.high.zw, b.high.zw), vec4<f32>(a.low.zw, b.low.zw)),
    );
    let sums = sum_of_two(Twofold(halves.high.xzxz, halves.low.xzxz), Twofold(halves.high.ywyw, halves.low.ywyw));
    return vec4<f32>(sums.high.xy, sums.low.xy);
}
