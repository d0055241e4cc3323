//! Names to hosts: what `mongodb+srv` asks of DNS.
//!
//! A client asks for SRV and TXT records itself, since the system's own resolver gives neither; addresses of hosts stay with
//! the system. Names are absolute: no search list is applied to them.
//!
//! [`message`] writes questions and reads answers, [`ask`] sends them to name servers, [`seedlist`] makes hosts and options of
//! the records; [`polling`] asks again for deployments of mongos.

mod ask;
mod message;
mod polling;
mod seedlist;
mod servers;

pub(crate) use polling::SrvPolling;
#[cfg(test)]
pub(crate) use seedlist::random_below;

#[cfg(any(test, fuzzing))]
pub(crate) use message::{Query, Reply, TxtRecord};
