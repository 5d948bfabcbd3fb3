//! Random cases that can be had again.

use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A runner of `cases` random cases, and what to print when one fails: the seed. `PROPTEST_RNG_SEED` in the environment
/// plays the same cases again.
pub fn runner(cases: u32) -> (TestRunner, String) {
    let given = Config::default();
    let seed = match given.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fastrand::u64(..),
    };
    let config = Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..given };
    (TestRunner::new(config), format!("play it again with PROPTEST_RNG_SEED={seed}"))
}
