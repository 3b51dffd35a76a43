use model::search::Search;
const ALTERED: &[(&str, &str)] = &[
        ("gateway", "DROP TRIGGER cancel"),
        (
            "gateway",
            "CREATE TRIGGER cancel INSTEAD OF INSERT ON cancellations BEGIN
                INSERT INTO refunds (key, order_id, amount, at) SELECT key, order_id, amount, NEW.at FROM charges
                WHERE key = NEW.key AND outcome = 'Approved' AND NOT EXISTS (SELECT 1 FROM refunds WHERE key = NEW.key);
            END",
        ),
    ];
fn one(guard: &'static [&'static str], altered: &'static [(&'static str, &'static str)], breaking: &'static str, seed: u64) {
    let t = std::time::Instant::now();
    let s = Search { histories: 10000, steps: 30, seed, without: guard, altered, breaking };
    let r = s.run().unwrap();
    println!("RESULT {guard:?} seed {seed} found {} in {:?}", r.found.is_some(), t.elapsed());
    if altered.len() > 1 && seed < 3 { if let Some(f) = r.found { println!("RESULT {}", f.history.replace('\n', "\nRESULT ")); } }
}
#[test]
fn dbg() {
    for seed in 1..=4 {
     one(&[], ALTERED, "is unresolved", seed);
     one(&["pay.idempotency"], &[], "at most one outstanding charge", seed);
     one(&["pay.closed"], &[], "is unresolved", seed);
     one(&["order.pay-version"], &[], "copies are true", seed);
     one(&["information.version"], &[], "the view is the fold", seed);
     one(&["reservation.capacity"], &[], "no seat is sold twice", seed);
     one(&["reservation.remembered"], &[], "is unresolved", seed);
   }
}
