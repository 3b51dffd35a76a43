//! What processes have used, as `/proc` has it.

use std::fs;
use std::time::Duration;

/// The kernel's ticks in a second, as it tells them to programs.
const TICKS: u64 = 100;

/// How long a process, and all of its children that are there or have ended, were on a processor.
pub(crate) fn time_of(process: u32) -> Duration {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|id| id.parse().ok()).map(time_of);
    of_one(process).unwrap_or_default() + children.sum::<Duration>()
}

/// Its own, and that of the children that it has waited for.
fn of_one(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let ticks: u64 = fields(&stat)?.iter().sum();
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// utime, stime, cutime and cstime: proc(5).
fn fields(stat: &str) -> Option<[u64; 4]> {
    // The name before them may have spaces, but no closing parenthesis after its own.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
}

/// How much memory a process and its children take, in bytes: what they share counts once.
pub(crate) fn memory_of(process: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|id| id.parse().ok()).map(memory_of);
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let own = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    own.unwrap_or_default() * 1024 + children.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_a_name_that_may_have_anything_in_it() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 11 12 13 14 20 0 1 0 9 10 11";
        assert_eq!(fields(stat), Some([11, 12, 13, 14]));
    }

    #[test]
    fn who_computes_is_seen_to() {
        let before = time_of(std::process::id());
        let started = std::time::Instant::now();
        while time_of(std::process::id()) == before {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::hint::black_box((0..100_000).sum::<u64>());
        }
        assert!(memory_of(std::process::id()) > 1 << 20);
    }
}
