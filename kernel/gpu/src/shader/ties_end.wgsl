// Ends one hunt a workgroup: adds up the counts that ties.wgsl left, and finds the wanted tie if it is in this chunk:
// first the strip of blocks, then the block, then the quad, then the element. CPU twin: `ties` in `kernel::cpu`.

var<workgroup> counts: array<u32, WORKGROUP>;
// Where the search stands: the block and how many ties of it are still wanted; none left means that it is not here.
var<workgroup> found_block: u32;
var<workgroup> found_wanted: u32;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let hunt = hunts[group.x];
    let strip = (head.blocks + WORKGROUP - 1u) / WORKGROUP;
    let strip_end = min((lane + 1u) * strip, head.blocks);
    var ties = 0u;
    for (var block = lane * strip; block < strip_end; block++) {
        ties += results[count_at(group.x, block)];
    }
    counts[lane] = ties;
    workgroupBarrier();
    if lane == 0u {
        var met = 0u;
        var block = head.blocks;
        for (var i = 0u; i < WORKGROUP; i++) {
            if block == head.blocks && hunt.wanted <= met + counts[i] {
                block = i * strip;
                found_wanted = hunt.wanted - met;
            }
            met += counts[i];
        }
        results[group.x * 2u] = met;
        results[group.x * 2u + 1u] = 0u;
        if block < head.blocks {
            var here = results[count_at(group.x, block)];
            while found_wanted > here {
                found_wanted -= here;
                block += 1u;
                here = results[count_at(group.x, block)];
            }
        }
        found_block = block;
    }
    workgroupBarrier();
    let quad = found_block * WORKGROUP + lane;
    let flags = tied(hunt, quad);
    counts[lane] = count(flags);
    workgroupBarrier();
    var before = 0u;
    for (var i = 0u; i < lane; i++) {
        before += counts[i];
    }
    if found_block < head.blocks && before < found_wanted && found_wanted <= before + counts[lane] {
        var missing = found_wanted - before;
        for (var i = 0u; i < LANES; i++) {
            if flags[i] {
                missing -= 1u;
                if missing == 0u {
                    results[group.x * 2u + 1u] = quad * LANES + i + 1u;
                }
            }
        }
    }
}
