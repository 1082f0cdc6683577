//! Which documents are examples: lm-evaluation-harness's draws, which depend on all that were drawn before.

use crate::python::random::Random;

use super::Value;
use super::config::Sampler;

/// Places of `count` examples in `pool`, in the order in which they are shown; `Err` says how many would be drawn. Without `own`,
/// the document that is asked about, which may stand in the pool.
pub(super) fn draw(
    sampler: Sampler,
    random: &mut Random,
    pool: &[Value],
    count: usize,
    own: Option<&Value>,
) -> Result<Vec<usize>, usize> {
    let other = |place: &usize| own.is_none_or(|own| pool[*place] != *own);
    if sampler == Sampler::First {
        let first: Vec<usize> = (0..pool.len()).filter(other).take(count).collect();
        return if first.len() < count { Err(count) } else { Ok(first) };
    }
    // One more, since the document itself may be among them.
    let drawn = count + usize::from(own.is_some());
    let places = random.sample(pool.len(), drawn).ok_or(drawn)?;
    let mut places: Vec<usize> = places.into_iter().filter(other).take(count).collect();
    if places.len() < count {
        // The document stands there more than once.
        let others: Vec<usize> = (0..pool.len()).filter(other).collect();
        let again = random.sample(others.len(), count).ok_or(count)?;
        places = again.into_iter().map(|place| others[place]).collect();
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_document_is_never_its_own_example() {
        let pool: Vec<Value> = [0, 1, 0, 2, 0, 3].map(Value::Int).to_vec();
        let mut random = Random::new(1234);
        for _ in 0..20 {
            let places = draw(Sampler::Random, &mut random, &pool, 3, Some(&Value::Int(0))).unwrap();
            let mut values: Vec<&Value> = places.iter().map(|place| &pool[*place]).collect();
            values.sort_by_key(|value| value.int());
            assert_eq!(values, [&Value::Int(1), &Value::Int(2), &Value::Int(3)]);
        }
        assert_eq!(draw(Sampler::First, &mut random, &pool, 2, Some(&Value::Int(0))), Ok(vec![1, 3]));
        assert_eq!(draw(Sampler::First, &mut random, &pool, 4, Some(&Value::Int(0))), Err(4));
        assert_eq!(draw(Sampler::Random, &mut random, &pool, 6, Some(&Value::Int(9))), Err(7));
    }
}
