//! Runs reproducible random cases.

use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A runner of `cases` random cases, and the seed to print when one fails. `PROPTEST_RNG_SEED` in the environment
/// repeats the same cases.
pub fn runner(cases: u32) -> (TestRunner, String) {
    let given = Config::default();
    let seed = match given.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fastrand::u64(..),
    };
    let config = Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..given };
    (TestRunner::new(config), format!("play it again with PROPTEST_RNG_SEED={seed}"))
}
