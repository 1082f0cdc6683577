// The sum over a block: 256 quads' sums, by sixteens and then by sixteen. Two barriers instead of a tree's eight (they
// are what costs on a CPU that stands in for a GPU), and no rounding error passes through more than twelve additions.

const SIXTEEN: u32 = 16u;
const_assert SIXTEEN * SIXTEEN == WORKGROUP;

var<workgroup> parts: array<vec2<f32>, WORKGROUP + SIXTEEN>;

fn strided_sum(first: u32, stride: u32) -> vec2<f32> {
    var sum = vec2<f32>();
    for (var i = 0u; i < SIXTEEN; i += 4u) {
        let at = first + i * stride;
        sum += (parts[at] + parts[at + stride]) + (parts[at + 2u * stride] + parts[at + 3u * stride]);
    }
    return sum;
}

// Two sums at once. All threads call it; the first one gets the answer.
fn block_sum(lane: u32, value: vec2<f32>) -> vec2<f32> {
    parts[lane] = value;
    workgroupBarrier();
    if lane < SIXTEEN {
        parts[WORKGROUP + lane] = strided_sum(lane, SIXTEEN);
    }
    workgroupBarrier();
    if lane != 0u {
        return vec2<f32>();
    }
    return strided_sum(WORKGROUP, 1u);
}

fn sum_of(values: vec4<f32>) -> f32 {
    let halves = values.xy + values.zw;
    return halves.x + halves.y;
}
