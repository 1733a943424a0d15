//! `vecino-bench bandwidth`: how fast one core reads memory, and how near to that the plain scan of floats comes.

use std::{hint::black_box, time::Instant};

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;
use vecino_engine::{
    codes::Codes,
    distance::{self, Metric},
    index::{Search, VectorIndex, flat::Flat},
    pool::Sequential,
    slots::SlotSet,
    vectors::Vectors,
};

use crate::{ann, synthetic};

/// Reads as many bytes by plain sums and by the flat index, in turns: one line of JSON.
#[derive(Args)]
pub(crate) struct Bandwidth {
    #[arg(long, default_value_t = 116_659)]
    vectors: usize,
    #[arg(long, default_value_t = 384)]
    dimension: usize,
    /// Turns; the best of each counts.
    #[arg(long, default_value_t = 31)]
    repeat: usize,
}

pub(crate) fn run(args: &Bandwidth) -> Result<()> {
    ensure!(args.vectors > 0 && args.dimension > 0, "there is nothing to read");
    let (rows, queries) = synthetic::rows(args.vectors, 1, args.dimension, Metric::Cosine)?;
    let vectors = rows.vectors()?;
    let codes = Codes::of(&vectors);
    drop(rows);
    let gigabytes = (args.vectors * args.dimension * 4) as f64 / 1e9;
    let mut best = [f64::INFINITY; 5];
    for _ in 0..args.repeat.max(1) {
        let kernels: [&dyn Fn(); 5] = [
            &|| sums::<0>(&vectors),
            &|| sums::<2_048>(&vectors),
            &|| sums::<8_192>(&vectors),
            &|| scan(&vectors, None, &queries.values),
            &|| scan(&vectors, Some(&codes), &queries.values),
        ];
        for (kernel, best) in kernels.into_iter().zip(&mut best) {
            let begun = Instant::now();
            kernel();
            *best = best.min(begun.elapsed().as_secs_f64());
        }
    }
    let [plain, near, far, floats, two_pass] = best;
    let read = plain.min(near).min(far);
    println!(
        "{}",
        json!({
            "bytes": args.vectors * args.dimension * 4,
            "sum_gb_s": gigabytes / plain,
            "sum_fetching_8_kib_ahead_gb_s": gigabytes / near,
            "sum_fetching_32_kib_ahead_gb_s": gigabytes / far,
            "float_scan_gb_s": gigabytes / floats,
            "float_scan_of_best_sum": read / floats,
            "two_pass_times_as_fast_as_float_scan": floats / two_pass,
            "cpu": ann::cpu_model(),
            "kernels": distance::kernel_name(),
            "command": std::env::args().collect::<Vec<_>>().join(" "),
        })
    );
    Ok(())
}

/// Adds up all floats as integers, in many sums at once, and fetches `AHEAD` floats ahead.
fn sums<const AHEAD: usize>(vectors: &Vectors) {
    let mut sums = [0_u32; 64];
    for page in 0..vectors.pages() {
        let floats = vectors.page(page);
        let next = vectors.page(page + 1);
        if AHEAD > 0 {
            distance::prefetch(&next[..next.len().min(AHEAD)]);
        }
        let mut later = floats.chunks(64).skip(AHEAD / 64);
        for some in floats.chunks(64) {
            if AHEAD > 0
                && let Some(later) = later.next()
            {
                distance::prefetch(later);
            }
            for (sum, float) in sums.iter_mut().zip(some) {
                *sum = sum.wrapping_add(float.to_bits());
            }
        }
    }
    black_box(sums);
}

fn scan(vectors: &Vectors, codes: Option<&Codes>, query: &[f32]) {
    let allowed = SlotSet::all(vectors.rows());
    let search = Search { vectors, codes, metric: Metric::Cosine, query, k: 10, effort: 0, allowed: &allowed, pool: &Sequential };
    black_box(Flat.search(&search));
}
