//! Elements a second of every kernel on the CPU, at sizes that do not fit a cache.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use half::bf16;
use merge_studio::gauge::near;
use merge_studio::kernel::cpu::Cpu;
use merge_studio::kernel::{
    Backend, Coin, Combine, Cut, Digit, Float, Frame, Gram, Groups, Histogram, Mask, Mix, Norms, Power, Precision,
    Query, Raw, Score, Selection, Space, TieHunt, Window,
};
use pollster::block_on;

const LEN: usize = 1 << 22;

/// The bytes of a base in bf16 and of its fine-tunes.
fn models(count: u64) -> Vec<Vec<u8>> {
    let round = |weight| bf16::from_f32(weight).to_f32();
    let bytes = |weight| bf16::from_f32(weight).to_le_bytes();
    (0..count).map(|model| near::weights(model, round).take(LEN).flat_map(bytes).collect()).collect()
}

fn window<'a>(inputs: &'a [Raw<'a>]) -> Window<'a> {
    Window::new(0, LEN, inputs)
}

fn mixes(criterion: &mut Criterion) {
    let models = models(3);
    let inputs: Vec<Raw<'_>> = models.iter().map(|bytes| Raw { dtype: Float::BF16, bytes }).collect();
    let mut group = criterion.benchmark_group("mix");
    group.throughput(Throughput::Elements(LEN as u64)).sample_size(20);
    let mut bench = |name: &str, inputs: &[Raw<'_>], space: Space, mask: Mask, combine: Combine, out| {
        let masks = vec![mask; space.terms(inputs.len())];
        let frame = Frame::new(Precision::F32, space);
        let mix = Mix { masks, combine, out };
        let mut cpu = Cpu::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(block_on(cpu.mix_window(&frame, &mix, window(inputs))).expect("the CPU declines nothing"));
            });
        });
    };
    let sum = Combine::Sum { coefficients: vec![0.7, 0.3] };
    let vote = Combine::Vote {
        coefficients: vec![0.5; 2],
        weights: vec![0.5; 2],
        unweighted: false,
        normalize: true,
        least: f64::NEG_INFINITY,
        lambda: 1.0,
    };
    let deltas = Space::Deltas { base: 0 };
    let from = Cut { threshold: Precision::F32.bits(1e-4), ties_end: 1_000_000 };
    let band = Mask::Band { score: Score::Magnitude, from, above: Cut::NONE };
    let coin = Mask::Coin(Coin { key: [1, 2], stream: [3, 4], threshold: 1 << 31 });
    bench("linear, 2 × bf16 to bf16", &inputs[..2], Space::Inputs, Mask::All, sum.clone(), Float::BF16);
    bench("linear, 2 × bf16 to f16", &inputs[..2], Space::Inputs, Mask::All, sum.clone(), Float::F16);
    bench("task arithmetic, 3 × bf16 to bf16", &inputs, deltas, Mask::All, sum.clone(), Float::BF16);
    bench("ties, 3 × bf16 to bf16", &inputs, deltas, band, vote.clone(), Float::BF16);
    bench("dare linear, 3 × bf16 to bf16", &inputs, deltas, coin, sum, Float::BF16);
    bench("dare ties, 3 × bf16 to bf16", &inputs, deltas, coin, vote, Float::BF16);
    group.finish();
}

fn measures(criterion: &mut Criterion) {
    let models = models(3);
    let inputs: Vec<Raw<'_>> = models.iter().map(|bytes| Raw { dtype: Float::BF16, bytes }).collect();
    let narrow = Precision::F32;
    let deltas = Frame::new(narrow, Space::Deltas { base: 0 });
    let mut cpu = Cpu::default();
    let mut group = criterion.benchmark_group("measure");
    group.throughput(Throughput::Elements(LEN as u64)).sample_size(20);

    group.bench_function("gram, 2 × bf16", |bencher| {
        bencher.iter(|| {
            let mut gram = Gram::new(2, Groups::Whole, LEN as u64);
            block_on(cpu.gram(&Frame::new(narrow, Space::Inputs), &mut window(&inputs[..2]).alone(), &mut gram))
                .expect("declines nothing");
            gram
        });
    });
    let coin = Mask::Coin(Coin { key: [1, 2], stream: [3, 4], threshold: 1 << 31 });
    group.bench_function("norms under coins, 3 × bf16", |bencher| {
        bencher.iter(|| {
            let mut norms = [Norms::default(); 2];
            block_on(cpu.norms(&deltas, Power::One, &[coin; 2], &mut window(&inputs).alone(), &mut norms))
                .expect("declines nothing");
            norms
        });
    });
    let mut selection = Selection::new(cpu.digits(narrow, LEN as u64), LEN as u64 / 5);
    let mut pass = 0;
    while let Some(digit) = selection.digit() {
        let count = |cpu: &mut Cpu, digit: Digit| {
            let mut counts = [0, 1].map(|_| Histogram::new(digit));
            let queries = [0, 1].map(|term| Query { term, score: Score::Magnitude, digit });
            block_on(cpu.histogram(&deltas, &queries, &mut window(&inputs).alone(), &mut counts))
                .expect("declines nothing");
            counts
        };
        pass += 1;
        group.bench_function(format!("histogram, pass {pass}, 3 × bf16"), |bencher| {
            bencher.iter(|| count(&mut cpu, digit));
        });
        let counts = count(&mut cpu, digit);
        selection.narrow(&counts[0]);
    }
    group.bench_function("ties, 3 × bf16", |bencher| {
        bencher.iter(|| {
            let (score, threshold) = (Score::Magnitude, narrow.bits(1e-4));
            let mut hunts = [0, 1].map(|term| TieHunt { term, score, threshold, wanted: u64::MAX, met: 0, end: None });
            block_on(cpu.ties(&deltas, &mut window(&inputs).alone(), &mut hunts)).expect("declines nothing");
            hunts
        });
    });
    group.finish();
}

criterion_group!(benches, mixes, measures);
criterion_main!(benches);
