//! What a process has spent so far.

use std::fs;

/// CPU seconds of all its threads, and the memory it has now.
pub struct Spent {
    pub cpu_seconds: f64,
    pub resident_mib: f64,
}

impl Spent {
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        // Behind the name, which may hold spaces.
        let fields: Vec<&str> =
            stat.rsplit(')').next().expect("there is a last part").split_whitespace().collect();
        let ticks = |place: usize| fields[place].parse::<f64>().expect("it is a number");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        let kib: f64 =
            resident.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
        Self { cpu_seconds: (ticks(11) + ticks(12)) / TICKS_PER_SECOND, resident_mib: kib / 1024.0 }
    }
}

/// Linux tells times of processes in these units whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;
