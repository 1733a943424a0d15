//! Data made by rule: rows in clusters, on a surface of few dimensions, as embeddings lie.

use vecino_engine::distance::Metric;

use crate::{ann, matrix::Matrix};

/// Dimensions of the surface: no more than so many.
const INNER: usize = 24;

/// Clusters.
const CLUSTERS: usize = 512;

/// `count` rows and then `queries` more of the same kind. A row is a normal draw around one of 512 centres in 24 dimensions (or
/// `dimension`, where that is less), turned into `dimension` by a fixed random matrix, with noise of a twentieth in every coordinate.
pub(crate) fn rows(count: usize, queries: usize, dimension: usize, metric: Metric) -> anyhow::Result<(Matrix<f32>, Matrix<f32>)> {
    let inner = dimension.min(INNER);
    let mut random = Random(7);
    let mut matrix = |rows: usize, columns: usize| -> Vec<Vec<f32>> {
        (0..rows).map(|_| (0..columns).map(|_| random.normal()).collect()).collect()
    };
    let centres = matrix(CLUSTERS, inner);
    let turn = matrix(inner, dimension);
    let total = count + queries;
    let threads = ann::Threads(std::thread::available_parallelism().map_or(1, usize::from));
    let mut all = vecino_engine::pool::map(&threads, total.div_ceil(BLOCK), |block| {
        let mut random = Random(1_000 + block as u64);
        let block = block * BLOCK..((block + 1) * BLOCK).min(total);
        block.flat_map(|_| row(&mut random, &centres, &turn, dimension)).collect::<Vec<_>>()
    })
    .concat();
    let asked = all.split_off(count * dimension);
    let [mut rows, mut asked] = [all, asked].map(|values| Matrix { columns: dimension, values });
    rows.prepare(metric)?;
    asked.prepare(metric)?;
    Ok((rows, asked))
}

/// Rows that are made by one thread.
const BLOCK: usize = 1_024;

fn row(random: &mut Random, centres: &[Vec<f32>], turn: &[Vec<f32>], dimension: usize) -> Vec<f32> {
    let centre = &centres[(random.next() % centres.len() as u64) as usize];
    let mut row: Vec<f32> = (0..dimension).map(|_| 0.05 * random.normal()).collect();
    for (x, axis) in centre.iter().zip(turn) {
        let x = x + 0.5 * random.normal();
        row.iter_mut().zip(axis).for_each(|(to, step)| *to += x * step);
    }
    row
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// About normal: the sum of four uniform numbers, of variance 1.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let uniform = |part: u32| ((bits >> (16 * part)) & 0xffff) as f32 / 65_536.0 - 0.5;
        (0..4).map(uniform).sum::<f32>() * 3.0_f32.sqrt()
    }
}
