//! 1, 2, 4, … hosts behind a balancer, each with a share of a processor, over one PostgreSQL and one Redis.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sugang_tests::load::Applicants;
use sugang_tests::{Cluster, Shape};
use xtask::bench::Scale;

use crate::processor::time_of;

/// How long the load lasts before it is measured.
const WARM_UP: u64 = 5;

/// Four hosts are to carry so many times what one carries.
const FOUR_CARRY: f64 = 3.4;

/// How long every order may take until it has its seat.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(600);

/// What so many hosts showed.
pub(crate) struct Row {
    pub(crate) hosts: usize,
    /// Orders answered per second.
    pub(crate) rate: f64,
    p50: Duration,
    p99: Duration,
    /// How many processors the hosts, PostgreSQL, Redis, the balancer and the load kept busy meanwhile.
    busy: [f64; 5],
    /// How long after the load each order had its seat.
    caught_up: Option<Duration>,
}

/// Measures each number of hosts in turn.
pub(crate) fn measure(scale: &Scale) -> Result<Vec<Row>> {
    scale
        .hosts
        .iter()
        .map(|hosts| {
            let row = measure_one(scale, *hosts)?;
            println!("{hosts} hosts: {:.0} orders/s, p99 {:.0?}", row.rate, row.p99);
            Ok(row)
        })
        .collect()
}

fn measure_one(scale: &Scale, hosts: usize) -> Result<Row> {
    let mut cluster = Cluster::start(Shape::of(hosts).share(scale.share).variable("demo_courses", false))?;
    let [postgres, redis, balancer] = cluster.other_process_ids();
    let cluster = &cluster;
    let applicants = Applicants::open_courses(cluster)?;
    let used = || {
        let hosts = cluster.process_ids().into_iter().map(time_of).sum::<Duration>();
        [hosts, time_of(postgres), time_of(redis), time_of(balancer), time_of(std::process::id())]
            .map(|time| time.as_secs_f64())
    };
    // The load counts processes it does not own as its children: those that this program started.
    let own = |used: [f64; 5]| {
        let [hosts, postgres, redis, balancer, all] = used;
        [hosts, postgres, redis, balancer, all - hosts - postgres - redis - balancer]
    };
    let connections = scale.connections * hosts;
    let busy = thread::scope(|scope| {
        let meter = scope.spawn(|| {
            thread::sleep(Duration::from_secs(WARM_UP));
            let (before, started) = (own(used()), Instant::now());
            thread::sleep(Duration::from_secs(scale.seconds));
            let (after, took) = (own(used()), started.elapsed().as_secs_f64());
            let mut pairs = after.into_iter().zip(before);
            std::array::from_fn(|_| pairs.next().map_or(0.0, |(after, before)| (after - before) / took))
        });
        let loaded = applicants.load(connections, WARM_UP, scale.seconds)?;
        anyhow::Ok((loaded, meter.join().ok().context("the meter ended")?))
    });
    let (loaded, busy) = busy?;
    Ok(Row {
        hosts,
        rate: loaded.rate(),
        p50: loaded.percentile(50),
        p99: loaded.percentile(99),
        busy,
        caught_up: caught_up(cluster, applicants.acknowledged())?,
    })
}

fn caught_up(cluster: &Cluster, orders: u64) -> Result<Option<Duration>> {
    let started = Instant::now();
    while started.elapsed() < CAUGHT_UP_WITHIN {
        let seated = "SELECT count(*) FROM infomations WHERE reservation_status = 'Reservation Confirmed'";
        if cluster.count("information", seated)?.unsigned_abs() >= orders {
            return Ok(Some(started.elapsed()));
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(None)
}

/// The rows as Markdown.
pub(crate) fn table(rows: &[Row], share: f64) -> String {
    let mut text = format!(
        "Each host has {share} of a processor; this machine has {}.\n\n\
         | hosts | orders/s | × one host | p50 | p99 | processors busy: hosts | PostgreSQL | Redis | balancer | load | all seated after |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        thread::available_parallelism().map_or(0, usize::from)
    );
    let first = rows.first().map_or(1.0, |row| row.rate);
    for row in rows {
        let caught_up =
            row.caught_up.map_or("never".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
        let busy: Vec<_> = row.busy.iter().map(|busy| format!("{busy:.2}")).collect();
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.2} | {} ms | {} ms | {} | {caught_up} |",
            row.hosts,
            row.rate,
            row.rate / first,
            row.p50.as_millis(),
            row.p99.as_millis(),
            busy.join(" | ")
        );
    }
    text
}

/// Whether four hosts carry as much as they are to, and every order had its seat.
pub(crate) fn is_good(rows: &[Row]) -> bool {
    let rate = |hosts| rows.iter().find(|row| row.hosts == hosts).map(|row| row.rate);
    let four = match (rate(1), rate(4)) {
        (Some(one), Some(four)) => four >= FOUR_CARRY * one,
        _ => true,
    };
    if !four {
        println!("MISSED: four hosts are to carry {FOUR_CARRY} times what one does");
    }
    four && rows.iter().all(|row| row.caught_up.is_some())
}
