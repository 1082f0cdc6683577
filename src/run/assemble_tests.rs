//! Sources made of several stretches against the same numbers made in memory, one by one: the same bytes from every method.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::tests::Memory;
use super::*;
use crate::format::{DType, ReadError};
use crate::kernel::cpu::widen;
use crate::kernel::{Float, Raw};
use crate::model::{Family, Model, Tensor, WeightFile};
use crate::plan::{Assembly, LowRank, PlanOptions, PlannedInput, RowMap, RowOrigin, float_of, plan};
use crate::recipe::{FloatName, ModelEntry, Recipe, Setting, Value};

/// A file that notes what is read of it.
struct Noted {
    bytes: Vec<u8>,
    reads: RefCell<Vec<(u64, usize)>>,
}

impl Source for Noted {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), ReadError> {
        self.reads.borrow_mut().push((offset, into.len()));
        self.bytes.read(offset, into).await
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A matrix of one of the four types.
    fn matrix(&mut self, dtype: DType, rows: u64, columns: u64) -> Matrix {
        let mut bytes = Vec::new();
        for _ in 0..rows * columns {
            let value = (self.below(1 << 24) as f64 / f64::from(1 << 23) - 1.0) / 7.0;
            match dtype {
                DType::F16 => bytes.extend(half::f16::from_f64(value).to_le_bytes()),
                DType::BF16 => bytes.extend(half::bf16::from_f64(value).to_le_bytes()),
                DType::F32 => bytes.extend((value as f32).to_le_bytes()),
                _ => bytes.extend(value.to_le_bytes()),
            }
        }
        Matrix { dtype, rows, columns, bytes }
    }

    fn dtype(&mut self) -> DType {
        [DType::F16, DType::BF16, DType::F32, DType::F64][self.below(4) as usize]
    }
}

struct Matrix {
    dtype: DType,
    rows: u64,
    columns: u64,
    bytes: Vec<u8>,
}

impl Matrix {
    fn numbers(&self) -> Vec<f64> {
        let mut numbers = vec![0.0; (self.rows * self.columns) as usize];
        widen(Raw { dtype: float_of(self.dtype).unwrap(), bytes: &self.bytes }, &mut numbers);
        numbers
    }
}

/// One input: a weight, and what is done to it.
struct Input {
    weight: Matrix,
    /// A, B, scale, whether the weight is stored transposed.
    change: Option<(Matrix, Matrix, f64, bool)>,
    map: Option<RowMap>,
}

impl Input {
    fn wide(&self) -> bool {
        self.weight.dtype == DType::F64
    }

    fn rounded(&self, value: f64) -> f64 {
        if self.wide() { value } else { f64::from(value as f32) }
    }

    /// The rows before any map.
    fn own(&self) -> Vec<Vec<f64>> {
        let mut numbers = self.weight.numbers();
        let columns = self.weight.columns as usize;
        if let Some((a, b, scale, transposed)) = &self.change {
            let (rank, a_columns, a, b) = (a.rows as usize, a.columns as usize, a.numbers(), b.numbers());
            for (at, number) in numbers.iter_mut().enumerate() {
                let (mut row, mut column) = (at / columns, at % columns);
                if *transposed {
                    (row, column) = (column, row);
                }
                let mut sum = 0.0;
                for k in 0..rank {
                    sum += b[row * rank + k] * a[k * a_columns + column];
                }
                *number = self.rounded(*number + self.rounded(scale * sum));
            }
        }
        numbers.chunks(columns).map(<[f64]>::to_vec).collect()
    }

    /// The bytes that methods should see: F32, or F64 for F64.
    fn assembled(&self, all: &[Self]) -> Vec<u8> {
        let own = self.own();
        let all: Vec<Vec<Vec<f64>>> = if self.map.is_some() { all.iter().map(Self::own).collect() } else { vec![] };
        let columns = self.weight.columns as usize;
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for (count, origin) in self.map.iter().flat_map(|map| &map.runs) {
            let above = rows.len();
            for row in 0..*count {
                rows.push(match origin {
                    RowOrigin::Own(first) => own[(first + row) as usize].clone(),
                    RowOrigin::Zero => vec![0.0; columns],
                    RowOrigin::Mean(of) => {
                        let mut sums = vec![0.0; columns];
                        for (input, first) in of {
                            let one = &all[*input][(first + row) as usize];
                            sums.iter_mut().zip(one).for_each(|(sum, value)| *sum += value);
                        }
                        sums.iter().map(|sum| self.rounded(sum / of.len() as f64)).collect()
                    }
                    RowOrigin::MeanAbove => {
                        let mut sums = vec![0.0; columns];
                        for one in &rows[..above] {
                            sums.iter_mut().zip(one).for_each(|(sum, value)| *sum += value);
                        }
                        sums.iter().map(|sum| self.rounded(sum / above as f64)).collect()
                    }
                });
            }
        }
        let rows = if self.map.is_some() { rows } else { own };
        let bytes =
            |value: f64| if self.wide() { value.to_le_bytes().to_vec() } else { (value as f32).to_le_bytes().to_vec() };
        rows.concat().into_iter().flat_map(bytes).collect()
    }
}

const NAMES: [&str; 3] = ["a", "b", "c"];
const TENSOR: &str = "embed.weight";

fn recipe(method: &str, out: FloatName) -> Recipe {
    let entry = |name: &&str| ModelEntry { model: (*name).to_owned(), ..ModelEntry::default() };
    let mut recipe = Recipe {
        merge_method: method.to_owned(),
        base_model: (method != "passthrough").then(|| "a".to_owned()),
        models: NAMES.iter().take(if method == "passthrough" { 1 } else { 3 }).map(entry).collect(),
        out_dtype: Some(out),
        ..Recipe::default()
    };
    for (key, value) in [("weight", 0.6), ("density", 0.4)] {
        recipe.parameters.insert(key.to_owned(), Setting::Scalar(Value::Number(value)));
    }
    recipe
}

/// A plan for tensors in memory that are of one stretch each, and their files.
fn plain(recipe: &Recipe, inputs: &[Input], shape: &[u64]) -> (Plan, Vec<Vec<u8>>) {
    let files: Vec<Vec<u8>> = inputs.iter().map(|input| input.assembled(inputs)).collect();
    let models: Vec<Model> = inputs
        .iter()
        .zip(&files)
        .map(|(input, bytes)| {
            let (dtype, len) = (if input.wide() { DType::F64 } else { DType::F32 }, bytes.len() as u64);
            let tensor = Tensor { file: 0, dtype, shape: shape.to_vec(), offset: 0, len };
            Model {
                name: String::new(),
                weight_files: vec![WeightFile { name: "model.safetensors".to_owned(), len }],
                tensors: BTreeMap::from([(TENSOR.to_owned(), tensor)]),
                config: None,
                family: Family::Generic,
                companions: BTreeMap::new(),
                vocabulary: None,
                fingerprint: String::new(),
                notices: Vec::new(),
                adapter: None,
            }
        })
        .collect();
    let binding = NAMES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), index)).collect();
    (plan(recipe, &models, &binding, &BTreeMap::new(), &PlanOptions::default()).unwrap(), files)
}

/// The same plan on the stretches that the tensors are made of.
fn stretched(mut plan: Plan, inputs: &[Input]) -> (Plan, Vec<Vec<Noted>>) {
    let used = plan.jobs[0].sources.len();
    let mut files = Vec::new();
    let mut adapters = Vec::new();
    for (number, input) in inputs.iter().enumerate().take(used) {
        let mut bytes = vec![0xAA; 24];
        let stretch = |of: usize, matrix: &Matrix, bytes: &mut Vec<u8>| {
            let offset = bytes.len() as u64;
            bytes.extend(&matrix.bytes);
            let (dtype, len) = (matrix.dtype, matrix.bytes.len() as u64);
            SourceTensor { input: of, name: TENSOR.to_owned(), dtype, file: 0, offset, len, assembly: None }
        };
        let mut source = stretch(number, &input.weight, &mut bytes);
        let mut assembly = Assembly::default();
        if let Some((a, b, scale, transposed)) = &input.change {
            let of = used + adapters.len();
            let mut bytes = vec![0xBB; 40];
            let (down, up) = (stretch(of, a, &mut bytes), stretch(of, b, &mut bytes));
            assembly.change = Some(LowRank { down, up, rank: a.rows, scale: *scale, transposed: *transposed });
            adapters.push(bytes);
            plan.inputs.insert(plan.inputs.len(), PlannedInput::default());
        }
        if let Some(map) = &input.map {
            assembly.rows = Some(plan.row_maps.len());
            plan.row_maps.push(map.clone());
        }
        source.assembly = (assembly != Assembly::default()).then(|| Box::new(assembly));
        plan.jobs[0].sources[number] = source;
        files.push(bytes);
    }
    files.extend(adapters);
    let noted = |bytes| vec![Noted { bytes, reads: RefCell::default() }];
    (plan, files.into_iter().map(noted).collect())
}

fn run<S: Source>(plan: &Plan, sources: &[Vec<S>], limits: &Limits) -> Result<(Vec<u8>, JobReport), RunError> {
    let mut sink = Memory(plan.files.iter().map(|file| vec![0xEE; file.len as usize]).collect());
    let mut last = None;
    let mut watch = |progress| last = Some(progress);
    let mut bench = Bench::default();
    let report = pollster::block_on(job(plan, 0, sources, &mut bench, limits, &mut sink, &mut watch))?;
    if let Some(Progress { done, total, .. }) = last {
        assert_eq!(done, total, "progress ends at its total");
    }
    Ok((sink.0[0][plan.jobs[0].offset as usize..].to_vec(), report))
}

const LIMITS: [Limits; 4] = [
    Limits { keep: 32 << 20, window: 1 << 20 },
    Limits { keep: 32 << 20, window: BLOCK },
    Limits { keep: 0, window: BLOCK },
    Limits { keep: 0, window: 3 * BLOCK },
];

/// Runs the inputs through a method, put together by the engine and beforehand, and expects the same bytes.
fn same(what: &str, method: &str, inputs: &[Input], shape: &[u64]) {
    let recipe = recipe(method, FloatName::Float32);
    let (reference, files) = plain(&recipe, inputs, shape);
    let files: Vec<Vec<&Vec<u8>>> = files.iter().map(|file| vec![file]).collect();
    let (expected, _) = run(&reference, &files, &LIMITS[0]).unwrap();
    let (plan, files) = stretched(reference, inputs);
    for limits in &LIMITS {
        let (bytes, report) = run(&plan, &files, limits).unwrap();
        assert!(bytes == expected, "{what}: {method} with {limits:?}");
        let read: usize = files.iter().flat_map(|file| file[0].reads.take()).map(|(_, len)| len).sum();
        assert_eq!(report.read, read as u64, "{what}: {method} with {limits:?}");
    }
}

fn change(random: &mut Random, rows: u64, columns: u64) -> (Matrix, Matrix, f64, bool) {
    let (rank, transposed) = (1 + random.below(9), random.below(2) == 1);
    let (up, down) = if transposed { (columns, rows) } else { (rows, columns) };
    let dtype = random.dtype();
    (random.matrix(dtype, rank, down), random.matrix(dtype, up, rank), 1.5, transposed)
}

/// A map to `rows` rows from inputs that have `own` rows each.
fn map(random: &mut Random, rows: u64, own: &[u64], number: usize) -> RowMap {
    let mut runs = Vec::new();
    let mut left = rows;
    while left > 0 {
        let count = (1 + random.below(6)).min(left).min(own.iter().copied().min().unwrap());
        left -= count;
        let mut at = |input: usize| random.below(own[input] - count + 1);
        let origin = match at(number) % 8 {
            0 => RowOrigin::Zero,
            1 | 2 => RowOrigin::Mean((0..own.len()).map(|input| (input, at(input))).collect()),
            3 => RowOrigin::Mean(vec![(number, at(number))]),
            4 if left < rows - count => RowOrigin::MeanAbove,
            _ => RowOrigin::Own(at(number)),
        };
        runs.push((count, origin));
    }
    RowMap { runs }
}

#[test]
fn sources_that_are_put_together_merge_as_if_they_had_been_so_in_the_file() {
    let mut random = Random(1);
    for round in 0..24 {
        let columns = [1, 3, 37, 1025][random.below(4) as usize];
        let rows = 1 + random.below(6_000 / columns + 8);
        let own: Vec<u64> = NAMES.iter().map(|_| 6 + random.below(6_000 / columns)).collect();
        let mapped = round % 4 != 3;
        let inputs: Vec<Input> = (0..3)
            .map(|number| {
                let (own_rows, has) = (if mapped { own[number] } else { rows }, random.below(4) > 0);
                let dtype = random.dtype();
                let weight = random.matrix(dtype, own_rows, columns);
                let change = has.then(|| change(&mut random, own_rows, columns));
                Input { weight, change, map: mapped.then(|| map(&mut random, rows, &own, number)) }
            })
            .collect();
        let what = format!("round {round}, {rows} × {columns}");
        for method in ["ties", "linear", "passthrough"] {
            // passthrough has one input, and so only its own rows to draw on.
            let alone = inputs[0].map.as_ref().is_some_and(|map| {
                map.runs.iter().any(|(_, origin)| matches!(origin, RowOrigin::Mean(of) if of.len() > 1))
            });
            if method != "passthrough" || !alone {
                same(&what, method, &inputs, &[rows, columns]);
            }
        }
    }
}

#[test]
fn a_vector_has_rows_of_one_element() {
    let mut random = Random(2);
    let own = [3_000, 2_900, 3_100];
    let inputs: Vec<Input> = (0..3)
        .map(|number| {
            let weight = random.matrix(DType::BF16, own[number], 1);
            Input { weight, change: None, map: Some(map(&mut random, 3_200, &own, number)) }
        })
        .collect();
    same("a vector", "ties", &inputs, &[3_200]);
}

/// A single input of 64 × 1,024 bf16 numbers whose rows come in this order.
fn permuted(order: impl Iterator<Item = u64>) -> (Plan, Vec<Vec<Noted>>) {
    let runs: Vec<(u64, RowOrigin)> = order.map(|row| (1, RowOrigin::Own(row))).collect();
    let rows = runs.len() as u64;
    let weight = Random(3).matrix(DType::BF16, 4_096, 1_024);
    let inputs = [Input { weight, change: None, map: Some(RowMap { runs }) }];
    let (plan, _) = plain(&recipe("passthrough", FloatName::Bfloat16), &inputs, &[rows, 1_024]);
    stretched(plan, &inputs)
}

#[test]
fn rows_that_lie_near_each_other_are_read_together_and_distant_ones_are_not() {
    let limits = Limits::default();
    let (plan, files) = permuted((0..64).rev());
    run(&plan, &files, &limits).unwrap();
    assert_eq!(*files[0][0].reads.borrow(), [(24, 64 * 2_048)], "one call for all of them");
    let (plan, files) = permuted([4_000, 7, 0, 4_003].into_iter());
    run(&plan, &files, &limits).unwrap();
    let row = 2_048;
    assert_eq!(*files[0][0].reads.borrow(), [(24, 8 * 2_048), (24 + 4_000 * row, 4 * 2_048)]);
}

#[test]
fn memory_is_bounded_by_the_window() {
    let limits = Limits { keep: 0, window: BLOCK };
    let (plan, files) = permuted((0..4_096).rev());
    let (_, report) = run(&plan, &files, &limits).unwrap();
    assert!(report.largest_allocation <= 8 * BLOCK as u64);
    let (job, whole) = (&plan.jobs[0], Limits { window: 1 << 30, ..limits });
    let elements = job.shape.iter().product::<u64>();
    assert_eq!((limits.assembling(job), whole.assembling(job)), (5 * 8 * BLOCK as u64, 5 * 8 * elements));
}

/// What breaks a plan.
type Harm<'a> = Box<dyn Fn(&mut Plan) + 'a>;

#[test]
fn a_plan_that_asks_for_what_is_not_there_is_an_error() {
    let mut random = Random(4);
    let build = |random: &mut Random| {
        let weight = random.matrix(DType::F32, 8, 4);
        let factors = (random.matrix(DType::F32, 2, 4), random.matrix(DType::F32, 8, 2), 1.0, false);
        let map = RowMap { runs: vec![(8, RowOrigin::Own(0))] };
        let inputs = [Input { weight, change: Some(factors), map: Some(map) }];
        let (plan, _) = plain(&recipe("passthrough", FloatName::Float32), &inputs, &[8, 4]);
        stretched(plan, &inputs)
    };
    let change = |plan: &mut Plan, of: fn(&mut LowRank)| {
        of(plan.jobs[0].sources[0].assembly.as_mut().unwrap().change.as_mut().unwrap());
    };
    let rows =
        |runs: Vec<(u64, RowOrigin)>| -> Harm<'_> { Box::new(move |plan| plan.row_maps[0].runs.clone_from(&runs)) };
    let harms: Vec<Harm<'_>> = vec![
        rows(vec![(8, RowOrigin::Own(1))]),
        rows(vec![(7, RowOrigin::Own(0))]),
        rows(vec![(u64::MAX, RowOrigin::Zero), (9, RowOrigin::Zero)]),
        rows(vec![(8, RowOrigin::Own(u64::MAX))]),
        rows(vec![(8, RowOrigin::Mean(vec![(0, 3)]))]),
        rows(vec![(8, RowOrigin::Mean(vec![(9, 0)]))]),
        rows(vec![(8, RowOrigin::Mean(vec![]))]),
        Box::new(|plan| plan.row_maps.clear()),
        Box::new(move |plan| change(plan, |change| change.rank = 3)),
        Box::new(move |plan| change(plan, |change| change.rank = u64::MAX)),
        Box::new(move |plan| change(plan, |change| change.up.len = 8)),
        Box::new(move |plan| change(plan, |change| change.down.dtype = DType::I32)),
        Box::new(move |plan| change(plan, |change| change.transposed = true)),
    ];
    for (number, harm) in harms.iter().enumerate() {
        let (mut plan, files) = build(&mut random);
        harm(&mut plan);
        let error = run(&plan, &files, &LIMITS[0]).unwrap_err();
        assert!(matches!(error, RunError::Assembly { .. }), "harm {number}: {error:?}");
    }
    let (plan, files) = build(&mut random);
    run(&plan, &files, &LIMITS[0]).unwrap();
}

#[test]
fn a_copy_of_an_assembled_source_is_cast_and_not_copied() {
    let mut random = Random(5);
    let weight = random.matrix(DType::BF16, 8, 4);
    let factors = (random.matrix(DType::F32, 2, 4), random.matrix(DType::F32, 8, 2), 1.0, false);
    let inputs = [Input { weight, change: Some(factors), map: None }];
    let expected = inputs[0].assembled(&inputs);
    let (plan, _) = plain(&recipe("passthrough", FloatName::Bfloat16), &inputs, &[8, 4]);
    let (plan, files) = stretched(plan, &inputs);
    assert!(matches!(plan.jobs[0].rule, Rule::Copy(_)));
    let (bytes, report) = run(&plan, &files, &LIMITS[0]).unwrap();
    let rounded = expected.as_chunks().0.iter().map(|b| half::bf16::from_f32(f32::from_le_bytes(*b)).to_le_bytes());
    assert_eq!(bytes, rounded.flatten().collect::<Vec<u8>>());
    assert_eq!(report.backend, Some(BackendKind::Cpu));
    assert_eq!(assemble::width(&plan.jobs[0].sources[0]), Float::F32);
}
