//! What methods measure, in double precision and on whole vectors; the geometric ones give the coefficients of what they were given.

use merge_studio::method::Resolved;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// What NuSLERP makes of two vectors' shares.
pub fn nuslerp(vectors: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    let t = if sum.abs() < 1e-6 { 0.5 } else { weights[1] / sum };
    let units: Vec<Vec<f64>> = vectors
        .iter()
        .map(|vector| {
            let norm = norm(vector).max(1e-7);
            vector.iter().map(|x| x / norm).collect()
        })
        .collect();
    let cosine = dot(&units[0], &units[1]).clamp(-1.0, 1.0);
    if 1.0 - cosine * cosine <= 1e-12 {
        return vec![1.0 - t, t];
    }
    let angle = cosine.acos();
    vec![((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()]
}

/// What of each vector is in a point that is a sum of unit vectors: followed along with the point itself.
struct Point {
    at: Vec<f64>,
    of: Vec<f64>,
}

impl Point {
    /// Σ cᵢ·(vector i).
    fn sum(vectors: &[Vec<f64>], of: Vec<f64>) -> Self {
        let at =
            (0..vectors[0].len()).map(|e| vectors.iter().zip(&of).map(|(vector, c)| c * vector[e]).sum()).collect();
        Self { at, of }
    }

    fn plus(&self, mine: f64, other: &Self, theirs: f64) -> Self {
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| mine * a + theirs * b).collect();
        Self { at: sum(&self.at, &other.at), of: sum(&self.of, &other.of) }
    }

    fn times(&self, by: f64) -> Self {
        self.plus(by, self, 0.0)
    }
}

/// The vectors as points of their own, each over a length.
fn points(vectors: &[Vec<f64>], length: impl Fn(usize) -> f64) -> Vec<Point> {
    (0..vectors.len())
        .map(|number| {
            let mut of = vec![0.0; vectors.len()];
            of[number] = 1.0 / length(number);
            Point::sum(vectors, of)
        })
        .collect()
}

/// Multi-SLERP, on whole vectors.
pub fn multislerp(vectors: &[Vec<f64>], weights: &[f64], parameters: &Resolved) -> Vec<f64> {
    let eps = parameters.number("eps");
    let divisor = if parameters.flag("normalize_weights") { weights.iter().sum() } else { 1.0 };
    let weights: Vec<f64> = weights.iter().map(|weight| weight / divisor).collect();
    let norms: Vec<f64> = vectors.iter().map(|vector| norm(vector)).collect();
    let units = points(vectors, |number| norms[number] + eps);
    let nothing = || Point::sum(vectors, vec![0.0; vectors.len()]);
    let mean = units.iter().zip(&weights).fold(nothing(), |sum, (unit, weight)| sum.plus(1.0, unit, *weight));
    let length = norm(&mean.at);
    if length < eps {
        return weights;
    }
    let mean = mean.times(1.0 / length);
    let tangent = units.iter().zip(&weights).fold(nothing(), |sum, (unit, weight)| {
        sum.plus(1.0, &unit.plus(1.0, &mean, -dot(&unit.at, &mean.at)), *weight)
    });
    let angle = norm(&tangent.at) + eps;
    mean.plus(angle.cos(), &tangent, angle.sin() / angle).times(dot(&norms, &weights)).of
}

/// The Karcher mean, on whole vectors.
pub fn karcher(vectors: &[Vec<f64>], parameters: &Resolved) -> Vec<f64> {
    let count = vectors.len();
    if count == 1 {
        return vec![1.0];
    }
    let (steps, tol) = (parameters.number("max_iter") as usize, parameters.number("tol"));
    let norms: Vec<f64> = vectors.iter().map(|vector| norm(vector)).collect();
    let units: Vec<Point> = points(vectors, |number| norms[number].max(f64::MIN_POSITIVE))
        .into_iter()
        .zip(&norms)
        .filter_map(|(unit, norm)| (*norm > tol).then_some(unit))
        .collect();
    let nothing = || Point::sum(vectors, vec![0.0; count]);
    if units.is_empty() {
        return vec![0.0; count];
    }
    let share = 1.0 / units.len() as f64;
    let mut mean = units.iter().fold(nothing(), |sum, unit| sum.plus(1.0, unit, share));
    mean = if norm(&mean.at) < tol { units[0].times(1.0) } else { mean.times(1.0 / norm(&mean.at)) };
    for _ in 0..steps {
        let mut tangent = nothing();
        for unit in &units {
            let along = dot(&mean.at, &unit.at).clamp(-1.0, 1.0);
            let angle = along.acos();
            if angle >= tol && std::f64::consts::PI - angle >= tol {
                tangent = tangent.plus(1.0, &unit.plus(1.0, &mean, -along), share * angle / angle.sin());
            }
        }
        let step = norm(&tangent.at);
        if step < tol {
            break;
        }
        mean = mean.plus(step.cos(), &tangent, step.sin() / step);
        let length = norm(&mean.at);
        if length > tol {
            mean = mean.times(1.0 / length);
        }
    }
    mean.times(norms.iter().sum::<f64>() / count as f64).of
}

/// Model Stock's shares of the task vectors.
pub fn model_stock(deltas: &[Vec<f64>]) -> Vec<f64> {
    let count = deltas.len() as f64;
    let mut cosines = Vec::new();
    for (number, a) in deltas.iter().enumerate() {
        for b in &deltas[number + 1..] {
            cosines.push((dot(a, b) / (norm(a) * norm(b)).max(1e-6)).clamp(-1.0, 1.0));
        }
    }
    let cosine = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let denominator = 1.0 + (count - 1.0) * cosine;
    let t = if denominator.abs() < 1e-6 { 0.0 } else { count * cosine / denominator };
    vec![t / count; deltas.len()]
}

/// RAM+'s λ of every model.
pub fn shares(deltas: &[Vec<f64>], epsilon: f64, parameters: &Resolved) -> Vec<f64> {
    let (r, alpha) = (parameters.number("r"), parameters.number("alpha"));
    let changed = |delta: &Vec<f64>, e: usize| delta[e].abs() > epsilon;
    let counts: Vec<usize> =
        (0..deltas[0].len()).map(|e| deltas.iter().filter(|delta| changed(delta, e)).count()).collect();
    deltas
        .iter()
        .map(|delta| {
            let among = |wanted: fn(usize) -> bool| {
                (0..counts.len()).filter(|&e| changed(delta, e) && wanted(counts[e])).count() as f64
            };
            1.0 + r * (among(|count| count > 1) / among(|count| count == 1).max(epsilon)).clamp(0.0, alpha)
        })
        .collect()
}

/// KL(softmax of `p` ‖ softmax of `q`) of every row.
pub fn divergences(p: &[f64], q: &[f64], row: usize) -> Vec<f64> {
    let softmax = |row: &[f64]| -> Vec<f64> {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|x| (x - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum + 1e-8).collect()
    };
    p.chunks(row)
        .zip(q.chunks(row))
        .map(|(p, q)| softmax(p).iter().zip(softmax(q)).map(|(p, q)| p * (p / q).ln()).sum::<f64>().max(0.0))
        .collect()
}
