// Counts one hunt's ties in one block a workgroup. CPU twin: `ties` in `kernel::cpu`.

var<workgroup> met: atomic<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let ties = count(tied(hunts[group.y], group.x * WORKGROUP + lane));
    if ties > 0u {
        atomicAdd(&met, ties);
    }
    workgroupBarrier();
    if lane == 0u {
        results[count_at(group.y, group.x)] = atomicLoad(&met);
    }
    report();
}
