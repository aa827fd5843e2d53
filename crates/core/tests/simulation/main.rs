//! The channel engine over a real SQLite, in a world where one seed decides every interleaving and every fault.
//!
//! `EDGEWISE_SEEDS=100000` runs more seeds, `EDGEWISE_SEED=17` one alone, with its trace. A seed that fails prints its
//! number and its trace. That the simulation finds what it should is shown with the faults of `planted.rs`.

#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod object;
mod planted;
mod run;
mod signing;
mod world;

use planted::Planted;
use run::Run;

const SEEDS: u64 = 2_000;
/// Within how many seeds a planted fault must be found.
const SEEDS_TO_FIND: u64 = 400;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on both cores; the first failure, if any.
fn first_failure(seeds: std::ops::Range<u64>, planted: Planted) -> Option<(u64, String)> {
    std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                let seeds = seeds.clone();
                scope.spawn(move || {
                    seeds
                        .filter(|seed| seed % 2 == half)
                        .find_map(|seed| Some((seed, Run::new(seed, planted).play().err()?)))
                })
            })
            .collect();
        halves.into_iter().filter_map(|half| half.join().expect("a run ends")).min()
    })
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order() {
    if let Some(seed) = setting("EDGEWISE_SEED") {
        let mut run = Run::new(seed, Planted::Nothing);
        let fate = run.play();
        println!("{}", run.trace());
        assert_eq!(fate, Ok(()), "seed {seed}");
        return;
    }
    let seeds = setting("EDGEWISE_SEEDS").unwrap_or(SEEDS);
    if let Some((seed, failure)) = first_failure(0..seeds, Planted::Nothing) {
        panic!("seed {seed}: {failure}");
    }
}

#[test]
fn every_planted_fault_is_found() {
    for planted in Planted::ALL {
        let found = first_failure(0..SEEDS_TO_FIND, planted);
        assert!(found.is_some(), "{planted:?} was not found in {SEEDS_TO_FIND} seeds");
    }
}
