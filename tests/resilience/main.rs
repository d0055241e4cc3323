//! Adversity: servers that lie, stall or break off, a client that many threads share, and a process that forks.

mod background;
mod discovery;
mod failover;
mod fork;
mod frozen;
mod handlers;
mod hostile;
mod idle;
mod load_balancer;
mod pool_events;
mod retries;
mod sessions;
mod specified;
mod starts;
mod step_down;
mod threads;
mod topologies;
mod transactions;
