//! Clocks, slices that take turns, and medians.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::row::{Row, THREADS};

/// Does that many operations.
pub type Work = Box<dyn FnMut(u64)>;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// What a find returns.
    pub documents: usize,
    /// Pairs of slices of short operations.
    pub rounds: usize,
    /// Pairs of finds.
    pub find_rounds: usize,
    /// How long a slice of short operations takes the floor.
    pub slice: Duration,
    /// Pings that are made to count system calls.
    pub operations_for_calls: u64,
}

impl Effort {
    /// What the README's table is made with.
    pub const FULL: Effort = Effort {
        documents: 100_000,
        rounds: 100,
        find_rounds: 15,
        slice: Duration::from_millis(20),
        operations_for_calls: 2000,
    };
    /// Enough to see that everything works.
    pub const QUICK: Effort = Effort {
        documents: 2_000,
        rounds: 3,
        find_rounds: 2,
        slice: Duration::from_millis(2),
        operations_for_calls: 50,
    };

    /// How many operations a process makes before its memory is looked at.
    pub fn operations_for_memory(&self, row: Row) -> u64 {
        match row {
            row if row.is_find() => 1,
            Row::Login => 10,
            _ => 10 * THREADS as u64 * self.rounds as u64,
        }
    }

    fn rounds(&self, row: Row) -> usize {
        if row.is_find() { self.find_rounds } else { self.rounds }
    }
}

/// One operation's time on the clock and on the processor, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// On the clock.
    pub wall: f64,
    /// On the processor, all threads of this process together.
    pub cpu: f64,
}

/// Floor and driver.
#[derive(Debug)]
pub struct Comparison {
    /// Medians.
    pub floor: Cost,
    /// Medians.
    pub driver: Cost,
    /// Of the neighbouring slices' ratios.
    pub wall_ratio: Spread,
    /// The same, of processor time.
    pub cpu_ratio: Spread,
}

/// The middle of many values, and where the middle half of them lies.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// A quarter is below.
    pub low: f64,
    /// The median.
    pub middle: f64,
    /// A quarter is above.
    pub high: f64,
}

/// Lets both take turns. Who goes first changes from round to round.
pub fn compare(effort: &Effort, row: Row, floor: &mut Work, driver: &mut Work) -> Comparison {
    let operations = operations_in_a_slice(effort, row, floor);
    driver(operations);
    let (mut floors, mut drivers) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds(row) {
        if round % 2 == 0 {
            floors.push(cost(operations, floor));
            drivers.push(cost(operations, driver));
        } else {
            drivers.push(cost(operations, driver));
            floors.push(cost(operations, floor));
        }
    }
    let ratios = |of: fn(&Cost) -> f64| spread(floors.iter().zip(&drivers).map(|(f, d)| of(d) / of(f)).collect());
    Comparison {
        floor: median_cost(&floors),
        driver: median_cost(&drivers),
        wall_ratio: ratios(|cost| cost.wall),
        cpu_ratio: ratios(|cost| cost.cpu),
    }
}

/// How many operations fill a slice; they warm the floor up, too.
fn operations_in_a_slice(effort: &Effort, row: Row, floor: &mut Work) -> u64 {
    if row.is_find() {
        floor(1);
        return 1;
    }
    let threads = THREADS as u64;
    floor(threads);
    let one = cost(4 * threads, floor).wall;
    let wanted = (effort.slice.as_secs_f64() / one.max(1e-9)) as u64;
    match row {
        // Each operation is a whole login.
        Row::Login => wanted.max(1),
        // The same number for each thread.
        _ => (wanted / threads).max(1) * threads,
    }
}

fn cost(operations: u64, work: &mut Work) -> Cost {
    let (wall, cpu) = (Instant::now(), processor_time());
    work(operations);
    let count = operations as f64;
    Cost { wall: wall.elapsed().as_secs_f64() / count, cpu: (processor_time() - cpu).as_secs_f64() / count }
}

/// What all threads of this process have had of the processors.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn median_cost(costs: &[Cost]) -> Cost {
    let of = |field: fn(&Cost) -> f64| spread(costs.iter().map(field).collect()).middle;
    Cost { wall: of(|cost| cost.wall), cpu: of(|cost| cost.cpu) }
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |quarters: usize| values.get((values.len() - 1) * quarters / 4).copied().unwrap_or(f64::NAN);
    Spread { low: at(1), middle: at(2), high: at(3) }
}
