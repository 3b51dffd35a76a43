use model::search::Search;
fn main_one(guard: &'static [&'static str], breaking: &'static str, seed: u64) {
    let t = std::time::Instant::now();
    let s = Search { histories: 3000, steps: 30, seed, without: guard, altered: &[], breaking };
    let r = s.run().unwrap();
    println!("RESULT {guard:?} seed {seed} found {} conflicts {:?} histories {:?} in {:?}", r.found.is_some(), r.reached.get("a conflict"), r.reached.get("CourseOpened"), t.elapsed());
}
#[test]
fn dbg() {
    for seed in 1..=6 { main_one(&["reservation.capacity"], "no seat is sold twice", seed); }
}
