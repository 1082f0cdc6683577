//! Three models of 269 MB each merge within 300 MB: weights stream, and the peak is measured, not reckoned.
//!
//! Too slow without optimisation: `./studio test` and `./studio bench` run it on the release build.
#![allow(clippy::unwrap_used)]
#![cfg(all(target_os = "linux", not(debug_assertions)))]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the process may hold at most.
const LIMIT: u64 = 300_000_000;

/// The shapes of SmolLM2-135M, tied embeddings: 272 tensors, 269 MB in bf16.
fn shapes() -> Vec<(String, Vec<u64>)> {
    let mut shapes =
        vec![("model.embed_tokens.weight".to_owned(), vec![49_152, 576]), ("model.norm.weight".to_owned(), vec![576])];
    for layer in 0..30 {
        for (name, shape) in [
            ("input_layernorm", &[576][..]),
            ("post_attention_layernorm", &[576]),
            ("self_attn.q_proj", &[576, 576]),
            ("self_attn.k_proj", &[192, 576]),
            ("self_attn.v_proj", &[192, 576]),
            ("self_attn.o_proj", &[576, 576]),
            ("mlp.gate_proj", &[1536, 576]),
            ("mlp.up_proj", &[1536, 576]),
            ("mlp.down_proj", &[576, 1536]),
        ] {
            shapes.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        }
    }
    shapes
}

/// Writes a model of pseudo-random bf16 numbers; gives the bytes of its tensors.
fn model(folder: &Path, seed: u64) -> u64 {
    fs::create_dir(folder).unwrap();
    let mut offset = 0;
    let mut header = serde_json::Map::new();
    for (name, shape) in shapes() {
        let len = shape.iter().product::<u64>() * 2;
        let entry = serde_json::json!({ "dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + len] });
        header.insert(name, entry);
        offset += len;
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = BufWriter::new(File::create(folder.join("model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(&header).unwrap();
    let mut state = seed | 1;
    for _ in 0..offset / 2 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Sign, an exponent around 2⁻⁵, seven bits of fraction: distinct enough for a trim to have work.
        let value = (state as u16 & 0x807f) | (118 + (state >> 32) as u16 % 8) << 7;
        file.write_all(&value.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    fs::write(folder.join("config.json"), r#"{"architectures":["LlamaForCausalLM"],"num_hidden_layers":30}"#).unwrap();
    offset
}

/// The most memory that the process has held, from the kernel; `None` once it has ended.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[test]
fn three_models_of_269_mb_merge_within_300_mb() {
    let folder = tempfile::tempdir().unwrap();
    let mut inputs = 0;
    for (seed, name) in ["base", "one", "two"].into_iter().enumerate() {
        inputs += model(&folder.path().join(name), 0x9E37_79B9_7F4A_7C15 * (seed as u64 + 1));
    }
    assert!(inputs > 3 * 268_000_000, "{inputs}");
    let recipe = "merge_method: ties\nbase_model: base\nmodels:\n  - model: one\n    parameters: {weight: 0.5, density: 0.8}\n  - model: two\n    parameters: {weight: 0.5, density: 0.8}\ndtype: bfloat16\n";
    fs::write(folder.path().join("r.yml"), recipe).unwrap();

    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_merge-studio"))
        .args(["merge", "r.yml", "out", "--device", "cpu", "--threads", "2", "--counters", "counters.json"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The kernel keeps the highest mark for us, so looking now and then misses at most the last moments of the end.
    let mut highest = 0;
    let status = loop {
        highest = peak(child.id()).unwrap_or(0).max(highest);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert!(status.success());
    let counters: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("counters.json")).unwrap()).unwrap();
    println!(
        "3 x 269 MB, ties, 2 threads: {:.1} s, peak {:.0} MB, largest allocation {:.1} MB",
        began.elapsed().as_secs_f64(),
        highest as f64 / 1e6,
        counters["largest_allocation"].as_f64().unwrap() / 1e6,
    );
    assert!(highest > 10_000_000, "the peak was not measured");
    assert!(highest < LIMIT, "the peak was {highest} bytes");
    assert_eq!(counters["backends"], serde_json::json!({ "cpu": shapes().len() }));
    assert!(counters["largest_allocation"].as_u64().unwrap() < 40_000_000, "{counters}");
    assert!(fs::metadata(folder.path().join("out/model.safetensors")).unwrap().len() > inputs / 3);
}
