//! One host over stores that have so many orders already.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sugang_tests::generate::{FIRST_ORDER, OF_EACH_CUSTOMER};
use sugang_tests::load::{Applicants, FIRST_COURSE, seated};
use sugang_tests::{Api, median};
use xtask::bench::Scale;
use xtask::build::human;

use crate::stand::{Database, Stand};

/// How many connections orders come from.
const CONNECTIONS: usize = 8;

/// How long the load lasts before it is measured, how long the system is then left alone, and how long ticks are measured.
const WARM_UP: u64 = 3;
const CALM: Duration = Duration::from_secs(5);

/// How long all orders may take until they have their seats.
const PATIENCE: Duration = Duration::from_secs(120);
const TICKS: u64 = 10;

/// How often a page is asked for; the median counts.
const ASKED: usize = 41;

/// From the fewest orders to the most a cost may grow by so much; what takes less than a millisecond may by a millisecond.
const GROWTH: f64 = 1.2;
const SMALL: f64 = 1.0;

/// What stores of one size on one database showed.
pub(crate) struct Column {
    pub(crate) database: Database,
    pub(crate) orders: u64,
    /// What was measured, in the order of the table.
    pub(crate) costs: Vec<Cost>,
}

/// Something that is to stay the same.
pub(crate) struct Cost {
    pub(crate) name: String,
    pub(crate) value: f64,
    unit: &'static str,
    /// Whether it is held to that.
    is_held: bool,
}

/// Measures each database at each size.
pub(crate) fn measure(scale: &Scale) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for database in Database::ALL {
        for orders in &scale.orders {
            println!("{}: writing {orders} orders into the stores", database.name());
            let started = Instant::now();
            let mut stand = Stand::with_orders(database, *orders)?;
            println!("{}: {orders} orders after {:.0?}", database.name(), started.elapsed());
            columns.push(Column { database, orders: *orders, costs: costs(scale, &mut stand, *orders)? });
        }
    }
    Ok(columns)
}

fn costs(scale: &Scale, stand: &mut Stand, orders: u64) -> Result<Vec<Cost>> {
    let api = stand.api()?;
    let cost = |name: &str, value, unit, is_held| Cost { name: name.to_owned(), value, unit, is_held };
    // Every page once, which also shows that nothing of it waits for anything.
    let mut pages = Vec::new();
    for (name, path) in paths(orders) {
        pages.push(cost(&name, page(&api, &path)?, "ms", true));
    }
    let applicants = Applicants::of_open_courses(&api, seated(&api));
    applicants.load(CONNECTIONS, 0, WARM_UP)?;
    applicants.wait_until_seated(PATIENCE)?;
    thread::sleep(CALM);
    let (before, taken) = (stand.processor()?, applicants.acknowledged());
    let loaded = applicants.load(CONNECTIONS, 0, scale.seconds)?;
    applicants.wait_until_seated(PATIENCE)?;
    thread::sleep(CALM);
    let used = (stand.processor()? - before).as_secs_f64() * 1_000.0;
    let per_order = used / (applicants.acknowledged() - taken) as f64;
    let before = stand.processor()?;
    thread::sleep(Duration::from_secs(TICKS));
    let per_tick = (stand.processor()? - before).as_secs_f64() * 1_000.0 / TICKS as f64;
    let (host, database) = stand.memory()?;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut costs = vec![
        cost("processor, per order", per_order, "ms", true),
        cost("answer to an order, p50", milliseconds(loaded.percentile(50)), "ms", true),
        cost("orders per second", loaded.rate(), "/s", false),
        cost("processor, per tick", per_tick, "ms", true),
        cost("memory, host", mebibytes(host), "MiB", true),
    ];
    costs.extend(database.map(|bytes| cost("memory, database", mebibytes(bytes), "MiB", false)));
    costs.extend(pages);
    println!("  memory of the host: {}", human(host));
    Ok(costs)
}

/// A page of each list: the first, one in the middle by key, and by each filter.
fn paths(orders: u64) -> Vec<(String, String)> {
    let middle = FIRST_ORDER + orders / 2;
    let customer = orders / 2 / OF_EACH_CUSTOMER + 1;
    let mut paths = Vec::new();
    for (list, status, sort) in [
        ("orders", "Ordered", Some("orderedAt,desc")),
        ("pays", "Paid", None),
        ("reservations", "Reservation Confirmed", None),
        ("infomations", "Paid", Some("updatedAt,desc")),
        ("notifications", "Sent", Some("createdAt,desc")),
    ] {
        let mut add = |what: &str, query: String| {
            paths.push((format!("/{list}, {what}"), format!("/{list}?{query}")));
        };
        add("first page", "size=20".to_owned());
        if let Some(sort) = sort {
            add("newest first", format!("size=20&sort={sort}"));
        }
        if list != "notifications" {
            add("in the middle", format!("size=20&after={middle}"));
            add("of a course", format!("size=20&eduNo={FIRST_COURSE}"));
        }
        add("of a customer", format!("size=20&customerId={customer}"));
        add("in a status", format!("size=20&status={}", status.replace(' ', "%20")));
    }
    paths.push(("/courses, first page".to_owned(), "/courses?size=20".to_owned()));
    paths.push(("/infomations, one order".to_owned(), format!("/infomations/{middle}")));
    paths
}

/// How long a page takes, in milliseconds.
fn page(api: &Api, path: &str) -> Result<f64> {
    let mut answers = Vec::new();
    for _ in 0..ASKED {
        let answer = api.get(path);
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        answers.push(answer);
    }
    Ok(milliseconds(median(&answers)))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The columns as Markdown: for each database what was measured at each size, and by how much it grew.
pub(crate) fn table(columns: &[Column]) -> String {
    let mut text = String::new();
    for database in Database::ALL {
        let columns: Vec<_> = columns.iter().filter(|column| column.database == database).collect();
        let Some(first) = columns.first() else { continue };
        // Writing to a text cannot fail.
        let _ = write!(text, "| {} |", database.name());
        for column in &columns {
            let _ = write!(text, " {} orders |", column.orders);
        }
        let _ = writeln!(text, " growth |\n|---|{}---|", "---|".repeat(columns.len()));
        for (index, cost) in first.costs.iter().enumerate() {
            let _ = write!(text, "| {} |", cost.name);
            let values: Vec<_> = columns.iter().filter_map(|column| column.costs.get(index)).collect();
            for cost in &values {
                let _ = write!(text, " {:.2} {} |", cost.value, cost.unit);
            }
            let last = values.last().map_or(0.0, |cost| cost.value);
            let _ = writeln!(text, " {:.2} × |", last / cost.value);
        }
        text.push('\n');
    }
    text
}

/// Whether what is to stay the same does.
pub(crate) fn is_good(columns: &[Column]) -> bool {
    let mut good = true;
    for database in Database::ALL {
        let mut columns = columns.iter().filter(|column| column.database == database);
        let (Some(first), Some(last)) = (columns.next(), columns.next_back()) else { continue };
        for (before, after) in first.costs.iter().zip(&last.costs).filter(|(cost, _)| cost.is_held) {
            if after.value > before.value * GROWTH && after.value > before.value + SMALL {
                println!(
                    "MISSED: {}, {}: {:.2} {} at {} orders, {:.2} at {}",
                    database.name(),
                    before.name,
                    before.value,
                    before.unit,
                    first.orders,
                    after.value,
                    last.orders
                );
                good = false;
            }
        }
    }
    good
}
