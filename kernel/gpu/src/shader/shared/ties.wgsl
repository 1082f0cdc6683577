// The hunt for the last kept tie, in two kernels: one counts the ties of every block, one looks through the counts.
// `results` holds what the host reads, (met, end) of every hunt, then the counts of the blocks, hunt by hunt.

@group(0) @binding(3) var<storage, read> hunts: array<HuntRow>;
@group(0) @binding(6) var<storage, read_write> results: array<u32>;

fn count_at(hunt: u32, block: u32) -> u32 {
    return head.rows * 2u + hunt * head.blocks + block;
}

// Which of a quad's elements have the score that is hunted.
fn tied(hunt: HuntRow, quad: u32) -> vec4<bool> {
    if quad >= head.quads {
        return vec4<bool>();
    }
    let scores = ranked(hunt.score, hunt.source, quad);
    return (scores == vec4<u32>(hunt.threshold)) & (positions(quad) < vec4<u32>(head.len));
}

fn count(flags: vec4<bool>) -> u32 {
    let ones = select(vec4<u32>(), vec4<u32>(1u), flags);
    return ones.x + ones.y + ones.z + ones.w;
}
