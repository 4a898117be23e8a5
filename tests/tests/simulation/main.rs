//! Hundreds of phones over weeks of a simulated clock: publishes of all kinds, jobs late and twice and out of order, purges,
//! restarts, a clock that jumps back, a standstill. All along, store and files are compared with [`model`].
//!
//! `TOCSIN_SIMULATION_SEED` chooses another history; a failure prints the seed it had.

mod model;
mod world;

use model::{DAY, HOUR};
use tocsin_domain::ports::{Clock, Random};
use world::World;

/// Everything interesting that a run must have seen.
const EVENTS: [&str; 33] = [
    "accepted",
    "key still valid",
    "key exported after its embargo",
    "twice at once",
    "retry with token",
    "retry without token",
    "overlap with token",
    "overlap without token",
    "foreign token",
    "garbage token",
    "negative before it was known",
    "revised",
    "revised a still valid key",
    "refused missing_revision_token",
    "refused invalid_revision_token",
    "refused internal_error",
    "refused key_already_revised",
    "refused invalid_report_type_transition",
    "stored after the clock jumped back into exported time",
    "traveler of another region exported",
    "batches created",
    "batches created twice",
    "worked before created",
    "export hours late",
    "file with new and revised keys",
    "batch of several files",
    "padding key",
    "empty batch",
    "key purged",
    "revised key purged",
    "file expired",
    "file deleted",
    "restart",
];

#[tokio::test(flavor = "multi_thread")]
async fn weeks_of_phones_and_jobs_keep_every_promise() {
    let seed = std::env::var("TOCSIN_SIMULATION_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let _seed = PrintedOnFailure(seed);
    let mut world = World::new(seed).await;
    let start = world.now();
    let mut next = Next::default();
    let (mut late_added, mut late_ended, mut jumped_back) = (false, false, 0);
    while world.now() < start + 22 * DAY {
        let day = (world.now() - start) / DAY;
        if day >= 4 && !late_added {
            world.add_late_config().await;
            late_added = true;
        }
        if day >= 13 && !late_ended {
            world.end_late_config().await;
            late_ended = true;
        }
        // As after a wrong correction of the operating system's clock: into time that was exported.
        if day >= 7 * (jumped_back + 1) && world.now() % DAY > 6 * HOUR {
            world.export(0).await;
            world.move_clock(-(3 * HOUR + HOUR * world.below(2)));
            jumped_back += 1;
            world.publish_after_jump_back().await;
        }
        for _ in 0..world.below(4) {
            world.somebody_publishes().await;
        }
        let minutes = 1 + world.below(75);
        world.move_clock(minutes * 60);
        next.run_what_is_due(&mut world).await;
    }
    // Nobody exports for longer than anything is kept; purges go on.
    for _ in 0..24 {
        world.somebody_publishes().await;
        world.move_clock(12 * HOUR);
        world.purge().await;
    }
    world.export(0).await;
    world.move_clock(5 * HOUR);
    world.export(0).await;
    world.restart().await;
    // And in the end all is gone.
    world.move_clock(12 * DAY);
    world.purge().await;
    world.purge().await;
    world.check_that_nothing_is_left().await;
    world.print_events();
    for event in EVENTS {
        assert!(world.count(event) > 0, "{event}: never happened, so the run shows less than it should");
    }
    world.server.stop().await;
}

/// When jobs run next.
#[derive(Default)]
struct Next {
    export: i64,
    purge: i64,
    restart: i64,
}

impl Next {
    async fn run_what_is_due(&mut self, world: &mut World) {
        let now = world.server.clock.now().unix();
        if now >= self.export {
            let order = world.random.below(6);
            world.export(order).await;
            self.export = now + if world.random.below(12) == 0 { 9 * HOUR } else { 1_200 + world.below(3 * HOUR) };
            if self.export - now > 8 * HOUR {
                world.happened("export hours late");
            }
        }
        if now >= self.purge {
            world.purge().await;
            self.purge = now + 2 * HOUR + world.below(7 * HOUR);
        }
        if now >= self.restart {
            world.restart().await;
            self.restart = now + DAY + world.below(3 * DAY);
        }
    }
}

/// Prints the seed when the test fails, wherever it does.
struct PrintedOnFailure(u64);

impl Drop for PrintedOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat this history: TOCSIN_SIMULATION_SEED={}", self.0);
        }
    }
}
