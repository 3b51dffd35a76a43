//! A model of the whole system: every context in one process, each on a store of its own in memory, under a
//! scheduler that means harm.
//!
//! What runs is what runs in production: the contexts' services (requests, reactions, ticks) with their statements
//! on the same SQLite. What is made up is what is between them, which is where things go wrong: calls that are
//! lost, late or made twice, events told late, twice and out of order, time, and crashes.
//!
//! | module | |
//! |---|---|
//! | [`step`] | what may happen; proptest makes histories of it and shortens them |
//! | [`world`] | the contexts, and one history of them, step by step |
//! | [`ports`] | what each context needs from outside: `pay`, the card company, the channel |
//! | [`paused`] | work that stops before each of its statements, to be held up, continued or ended by a crash |
//! | [`invariants`] | what must hold after every step, and what must hold once all is quiet |
//! | [`search`] | the search for a history that breaks a promise |
//!
//! It deliberately has no Redis, no HTTP and no WebAssembly in it: the end-to-end and chaos tests have.

pub mod invariants;
pub mod paused;
pub mod ports;
pub mod search;
pub mod step;
pub mod world;
