//! K-means.

use crate::{
    codes::Codes,
    distance::{Metric, normalise},
    index::words::SplitMix,
    pool::{self, Pool},
};

use super::{Ivf, NONE, assign};

/// Rows to learn from, for each list.
const ROWS_PER_LIST: usize = 32;

/// Rounds of assigning rows and moving centres.
const ROUNDS: usize = 8;

/// Centres that one job moves.
const CENTRES_PER_JOB: usize = 8;

impl Ivf {
    /// Makes new centres from the rows that are in the lists, and fills the lists anew.
    pub fn train(&mut self, codes: &Codes, pool: &dyn Pool) {
        let slots: Vec<u32> = self.used.iter().collect();
        let lists = match self.params.lists {
            0 => 4 * slots.len().isqrt(),
            lists => lists,
        };
        let lists = lists.min(slots.len() / 8).max(1);
        self.centres = centres(self.metric, codes, &slots, lists, self.params.seed, pool);
        self.lists = vec![Vec::new(); lists];
        self.list_of.fill(NONE);
        let error = self.list(codes, &slots, pool);
        self.lists.iter_mut().for_each(Vec::shrink_to_fit);
        self.note_training(error);
    }
}

/// The centres of `lists` clusters of the rows of `slots`.
fn centres(metric: Metric, codes: &Codes, slots: &[u32], lists: usize, seed: u64, pool: &dyn Pool) -> Codes {
    let mut random = SplitMix(seed);
    let sample = random.sample(slots, lists * ROWS_PER_LIST);
    let mut centres = Codes::new(codes.dimension());
    let mut row = Vec::new();
    for (list, slot) in random.sample(&sample, lists).into_iter().enumerate() {
        codes.decode(slot, &mut row);
        centres.set(list as u32, &row);
    }
    let mut before = Vec::new();
    for _ in 0..ROUNDS {
        let nearest = assign(&centres, codes, &sample, pool);
        let mut members = vec![Vec::new(); lists];
        for (slot, (_, list)) in sample.iter().zip(&nearest) {
            members[*list as usize].push(*slot);
        }
        if members == before {
            break;
        }
        let jobs = lists.div_ceil(CENTRES_PER_JOB);
        let means = pool::map(pool, jobs, |job| {
            let members = members.iter().skip(job * CENTRES_PER_JOB).take(CENTRES_PER_JOB);
            members.map(|members| mean(metric, codes, members)).collect::<Vec<_>>()
        });
        // A centre without rows moves to one of the rows that are farthest from theirs.
        let mut far: Vec<usize> = Vec::new();
        if members.iter().any(Vec::is_empty) {
            far = (0..sample.len()).collect();
            far.sort_unstable_by(|a, b| nearest[*a].0.total_cmp(&nearest[*b].0).then(b.cmp(a)));
        }
        for (list, mean) in means.into_iter().flatten().enumerate() {
            match mean {
                // A centre is what its code stands for, to the last digit: a length that is not the code's own would draw rows to
                // it, or away from it, from far.
                Some(mean) => {
                    centres.set(list as u32, &mean);
                    centres.decode(list as u32, &mut row);
                    centres.set(list as u32, &row);
                }
                None => {
                    if let Some(at) = far.pop() {
                        codes.decode(sample[at], &mut row);
                        centres.set(list as u32, &row);
                    }
                }
            }
        }
        before = members;
    }
    centres
}

/// The mean of some rows, summed in their order; under cosine at unit length.
fn mean(metric: Metric, codes: &Codes, slots: &[u32]) -> Option<Vec<f32>> {
    let mut mean = vec![0.0_f32; codes.dimension()];
    let mut row = Vec::with_capacity(mean.len());
    for slot in slots {
        codes.decode(*slot, &mut row);
        mean.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x);
    }
    mean.iter_mut().for_each(|sum| *sum /= slots.len() as f32);
    if metric == Metric::Cosine {
        // Rows that cancel each other out have no direction; their mean will do as it is.
        let _ = normalise(&mut mean);
    }
    (!slots.is_empty()).then_some(mean)
}
