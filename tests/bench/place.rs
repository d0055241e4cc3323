//! Which processors the two sides and the server run on.
//!
//! Left to the system, a client and its server may share a processor for one slice and sit on two for the next, and waking
//! a processor that sleeps costs several times what a ping costs. So the canned server is told where to run.

use std::fs;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::row::Row;

/// Where the client and the canned server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the same processor: for small exchanges, where one side waits while the other works.
    Together,
    /// On two: for long answers, which one side writes while the other reads.
    Apart,
    /// Anywhere.
    Anywhere,
}

impl Place {
    /// What suits a row.
    pub fn of(row: Row) -> Place {
        match row {
            Row::Ping | Row::Insert | Row::Login => Place::Together,
            Row::FindRaw | Row::FindTyped | Row::FindDocument => Place::Apart,
            Row::Threads => Place::Anywhere,
        }
    }
}

/// The processors that this program was given.
#[derive(Debug)]
pub struct Processors(CpuSet);

impl Processors {
    /// Asks the system.
    pub fn given() -> Option<Processors> {
        sched_getaffinity(None).ok().map(Processors)
    }

    /// Sends this thread and all of another process there. Where that is refused, everything runs anywhere.
    pub fn settle(&self, place: Place, server: u32) {
        let count = CpuSet::MAX_CPU;
        let mut own = (0..count).filter(|cpu| self.0.is_set(*cpu));
        let first = own.next().unwrap_or(0);
        let last = own.next_back().unwrap_or(first);
        let (here, there) = match place {
            Place::Together => (only(first), only(first)),
            Place::Apart => (only(last), only(first)),
            Place::Anywhere => (self.0, self.0),
        };
        let _ = sched_setaffinity(None, &here);
        for thread in threads(server) {
            let _ = sched_setaffinity(Some(thread), &there);
        }
    }
}

fn only(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

/// The threads of a process. New ones stay where those are that make them.
fn threads(process: u32) -> Vec<Pid> {
    let Ok(folder) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    folder.flatten().filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}
