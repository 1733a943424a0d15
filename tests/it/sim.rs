//! The simulation: that histories go well, and that it finds bugs.

use vecino_tests::sim::{self, Plant};

/// Seeds and crashes of each; the release gate runs more (`cargo xtask sim`).
const SEEDS: u64 = 2_500;
const CRASHES: u64 = 12;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there() {
    let tally = sim::run_many(0, SEEDS, CRASHES, None).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{tally}");
    assert_eq!(tally.seeds, SEEDS);
    assert!(tally.crashes >= SEEDS * CRASHES);
    // That it came to all that it is about.
    let counts = [
        tally.in_recovery,
        tally.torn_tails,
        tally.failed_calls,
        tally.checkpoints,
        tally.prepared,
        tally.index_jobs,
        tally.unacknowledged,
        tally.rot_found,
    ];
    assert!(counts.iter().all(|count| *count > SEEDS / 10), "{tally}");
}

#[test]
fn equal_seeds_have_equal_histories() {
    for seed in 0..5 {
        assert_eq!(sim::run(seed, 20, None).unwrap(), sim::run(seed, 20, None).unwrap());
    }
}

#[test]
fn planted_bugs_are_found() {
    for plant in Plant::ALL {
        let found = (0..200).find_map(|seed| sim::run(seed, 20, Some(plant)).err());
        let failure = found.unwrap_or_else(|| panic!("{plant:?} was not found in 200 seeds"));
        println!("{plant:?}: {}", failure.what);
        assert!(!failure.what.contains("went well"), "{plant:?}: {failure}");
        let replay = format!("cargo xtask sim --seed {} --crashes {}", failure.seed, failure.crashes);
        assert!(failure.to_string().ends_with(&replay), "{failure}");
    }
}
