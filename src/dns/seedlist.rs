//! From the name in a `mongodb+srv` connection string to hosts and options, as the Initial DNS Seedlist Discovery specification
//! has it: the SRV records name the hosts, a TXT record may hold options.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::message::{Answer, LONGEST_TTL, MAX_RECORDS, MAX_TXT, TxtRecord};
use super::{ask, servers};
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::helper_thread::{HelperError, HelperThreads};
use crate::options::{self, ClientSettings, ParentDomain, ServerAddress, is_host_name, normalized};
use crate::resolver::{SharedResolver, SrvRecord};
use crate::system::{RealSystem, System};

impl ClientSettings {
    /// Asks DNS for the records of a `mongodb+srv` connection string: options with [`hosts`](ClientSettings::hosts), and with
    /// what a TXT record sets, validated again as a whole. Others are returned as they are.
    ///
    /// Making a client does this by itself, each time. A client made from the options that this returns uses what they hold.
    ///
    /// # Errors
    /// [`ErrorKind::DnsResolve`](crate::error::ErrorKind::DnsResolve) where DNS names no host or gives no answer,
    /// [`ErrorKind::Io`](crate::error::ErrorKind::Io) (`TimedOut`) after `connectTimeoutMS` (5 s where that is 0),
    /// [`ErrorKind::InvalidResponse`](crate::error::ErrorKind::InvalidResponse) for records that break the rules of the Initial DNS
    /// Seedlist Discovery specification, [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for options
    /// that do not go together.
    ///
    /// ```no_run
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::parse("mongodb+srv://cluster.example.com/").run()?.resolve_srv()?;
    /// for host in &options.hosts {
    ///     println!("{host}");
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn resolve_srv(self) -> Result<ClientSettings> {
        self.resolve_srv_on(&RealSystem::shared())
    }

    /// The same on another system.
    pub(crate) fn resolve_srv_on(self, system: &Arc<dyn System>) -> Result<ClientSettings> {
        if self.seedlist().is_some() {
            return Ok(self);
        }
        let Some(lookup) = SrvLookup::new(&self, system)? else { return Ok(self) };
        let began = Instant::now();
        let timed = |error: Error| error.with_elapsed(began.elapsed());
        let Seedlist { mut hosts, txt, lowest_ttl } = lookup.seedlist().map_err(timed)?;
        let max = usize::try_from(self.srv_max_hosts()).unwrap_or(usize::MAX);
        if max > 0 {
            choose(&mut hosts, max);
        }
        let seedlist = options::Seedlist { hosts, lowest_ttl, at: Instant::now() };
        self.with_seedlist(seedlist, &lookup.host, txt.as_deref())
    }
}

/// What is asked of DNS for a connection string, now and again later.
#[derive(Clone, Debug)]
pub(crate) struct SrvLookup {
    source: Source,
    /// The name in the connection string, in lower case and without a dot at its end.
    host: String,
    /// `_mongodb._tcp.` and the name.
    srv_name: String,
    parent: ParentDomain,
    limit: Duration,
}

/// What DNS says about a name.
#[derive(Debug)]
pub(crate) struct Seedlist {
    pub(crate) hosts: Vec<ServerAddress>,
    /// The TXT record, as in the query of a connection string.
    pub(crate) txt: Option<String>,
    /// The shortest time for which one of the SRV records may be kept.
    pub(crate) lowest_ttl: Duration,
}

/// Who answers.
#[derive(Clone, Debug)]
enum Source {
    Program(SharedResolver),
    Servers(Vec<SocketAddr>),
    System(Arc<dyn System>),
}

impl SrvLookup {
    /// What to ask for these options; `None` where their connection string names the hosts itself.
    pub(crate) fn new(options: &ClientSettings, system: &Arc<dyn System>) -> Result<Option<Self>> {
        let Some(host) = options.srv_host().map(normalized) else { return Ok(None) };
        let parent = match options.srv_allowed_hosts_suffix() {
            Some(suffix) => ParentDomain::allowed(suffix)?,
            None => ParentDomain::of(&host),
        };
        let source = match (options.resolver(), options.name_servers()) {
            (Some(resolver), _) => Source::Program(resolver.clone()),
            (None, []) => Source::System(system.clone()),
            (None, servers) => Source::Servers(servers.to_vec()),
        };
        let limit = match options.connect_timeout() {
            Duration::ZERO => LIMIT_WITHOUT_OPTION,
            limit => limit,
        };
        let srv_name = format!("_{}._tcp.{host}", options.srv_service_name());
        Ok(Some(SrvLookup { source, host, srv_name, parent, limit }))
    }

    /// Asks for SRV and TXT records side by side, and takes all of it or nothing.
    fn seedlist(&self) -> Result<Seedlist> {
        let (found, texts) = self.ask(SrvLookup::ask_both)?;
        let mut seedlist = self.read_srv(found?, Err)?;
        let mut texts = texts?.records;
        if texts.len() > 1 {
            let message = format!("{} has {} TXT records, and only one may hold options", self.host, texts.len());
            return Err(Error::new(FaultKind::InvalidResponse, Stage::Dns, message)
                .with_hint("leave only the record with the options, or none"));
        }
        seedlist.txt = texts.pop().map(|TxtRecord(text)| text);
        Ok(seedlist)
    }

    /// Asks for the SRV records again. Hosts that break the rules are left out, with a line in the log.
    ///
    /// # Errors
    /// No record, none that keeps to the rules, or no answer.
    pub(crate) fn rescan(&self) -> Result<Seedlist> {
        let found = self.ask(|lookup, deadline| lookup.source.srv(&lookup.srv_name, deadline))??;
        self.read_srv(found, |error| {
            log::warn!("a host was left out: {error:#}");
            Ok(())
        })
    }

    /// Has a helper thread ask, so that a resolver that never returns does not hold the caller.
    fn ask<T: Send + 'static>(&self, ask: fn(&SrvLookup, Deadline) -> T) -> Result<T> {
        let deadline = Deadline::after(self.limit).named("connectTimeoutMS");
        let lookup = self.clone();
        // A little later, since the thread itself keeps to the limit, and tells more about why the time ran out.
        let abandoned = Deadline::after(self.limit.saturating_add(GRACE));
        LOOK_UPS.run_with_deadline(abandoned, move || ask(&lookup, deadline)).or_else(|error| {
            let (kind, message) = match error {
                // Without a helper thread the answer may come late, which is better than not at all.
                HelperError::NotStarted(_) => return Ok(ask(self, deadline)),
                HelperError::TimedOut => (FaultKind::TimedOut, format!("{} ran out", deadline.name())),
                HelperError::TooMany(running) => {
                    (FaultKind::DnsResolve, format!("{running} look-ups have not returned yet"))
                }
                HelperError::Panicked => (FaultKind::DnsResolve, "the resolver panicked".to_owned()),
            };
            let message = format!("the records of {} were not looked up: {message}", self.host);
            Err(Error::new(kind, Stage::Dns, message))
        })
    }

    #[allow(clippy::type_complexity, reason = "two answers, each of which may be missing")]
    fn ask_both(&self, deadline: Deadline) -> (Result<Answer<SrvRecord>>, Result<Answer<TxtRecord>>) {
        let txt = || self.source.txt(&self.host, deadline);
        thread::scope(|scope| {
            let helper = thread::Builder::new().name("mongo-dns".to_owned()).spawn_scoped(scope, txt);
            let srv = self.source.srv(&self.srv_name, deadline);
            let txt = match helper.map(ScopedJoinHandle::join) {
                Ok(Ok(answer)) => answer,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => txt(), // no thread to be had: one question after the other, then
            };
            (srv, txt)
        })
    }

    /// The hosts of the records; `refused` decides about one that breaks the rules.
    fn read_srv(&self, found: Answer<SrvRecord>, refused: impl Fn(Error) -> Result<()>) -> Result<Seedlist> {
        let mut hosts = Vec::new();
        let mut lowest_ttl = Duration::MAX;
        for record in &found.records {
            match self.read_host(record) {
                Ok(host) if hosts.contains(&host) => {}
                Ok(host) => {
                    hosts.push(host);
                    lowest_ttl = lowest_ttl.min(record.ttl);
                }
                Err(error) => refused(error)?,
            }
        }
        if hosts.is_empty() {
            let why = match (found.records.is_empty(), found.name_exists) {
                (true, false) => "there is no such name",
                (true, true) => "the name has no such record",
                (false, _) => "no record names a host that may be used",
            };
            let message = format!("DNS names no host for {}: {why}", self.srv_name);
            return Err(Error::new(FaultKind::DnsResolve, Stage::Dns, message).with_hint(
                "is the name in the connection string spelled right? a server's own name belongs after mongodb://",
            ));
        }
        Ok(Seedlist { hosts, txt: None, lowest_ttl })
    }

    fn read_host(&self, record: &SrvRecord) -> Result<ServerAddress> {
        let host = normalized(&record.host);
        let why = if !is_host_name(&host) {
            "it is no host name".to_owned()
        } else if record.port == 0 {
            "its port is 0".to_owned()
        } else if !self.parent.holds(&host) {
            self.parent.in_words(&self.host)
        } else {
            return Ok(ServerAddress::Tcp { host, port: Some(record.port) });
        };
        let message =
            format!("the SRV records of {} name {host:?}, which may not be connected to: {why}", self.srv_name);
        Err(Error::new(FaultKind::InvalidResponse, Stage::Dns, message))
    }
}

impl Source {
    fn srv(&self, name: &str, deadline: Deadline) -> Result<Answer<SrvRecord>> {
        match self {
            Source::Program(resolver) => {
                let mut records =
                    resolver.get().srv(name, time_left(deadline)).map_err(|error| failed(name, "SRV", error))?;
                within_bound(records.len(), "SRV")?;
                for record in &mut records {
                    record.ttl = record.ttl.min(LONGEST_TTL);
                }
                Ok(Answer { records, name_exists: true })
            }
            Source::Servers(servers) => ask::ask(servers, name, deadline),
            Source::System(system) => ask::ask(&servers::of_system(&**system)?, name, deadline),
        }
    }

    fn txt(&self, name: &str, deadline: Deadline) -> Result<Answer<TxtRecord>> {
        match self {
            Source::Program(resolver) => {
                let texts =
                    resolver.get().txt(name, time_left(deadline)).map_err(|error| failed(name, "TXT", error))?;
                within_bound(texts.len(), "TXT")?;
                if texts.iter().any(|text| text.len() > MAX_TXT) {
                    let message = format!("the program's resolver gave a TXT record longer than {MAX_TXT} bytes");
                    return Err(Error::new(FaultKind::InvalidResponse, Stage::Dns, message));
                }
                Ok(Answer { records: texts.into_iter().map(TxtRecord).collect(), name_exists: true })
            }
            Source::Servers(servers) => ask::ask(servers, name, deadline),
            Source::System(system) => ask::ask(&servers::of_system(&**system)?, name, deadline),
        }
    }
}

/// A resolver in code may give as many records as the answer of a name server may have.
fn within_bound(count: usize, kind: &str) -> Result<()> {
    if count <= MAX_RECORDS {
        return Ok(());
    }
    let message = format!("the program's resolver gave more than {MAX_RECORDS} {kind} records");
    Err(Error::new(FaultKind::InvalidResponse, Stage::Dns, message))
}

fn time_left(deadline: Deadline) -> Duration {
    deadline.remaining().unwrap_or(LIMIT_WITHOUT_OPTION)
}

fn failed(name: &str, kind: &str, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let message = format!("the program's resolver gave no answer for the {kind} records of {name}");
    Error::new(FaultKind::DnsResolve, Stage::Dns, message).with_source(error)
}

/// Leaves `count` of them, chosen at random: the first steps of a Fisher-Yates shuffle.
fn choose<T>(items: &mut Vec<T>, count: usize) {
    if count >= items.len() {
        return;
    }
    for place in 0..count {
        let other = place + random_below(items.len() - place);
        items.swap(place, other);
    }
    items.truncate(count);
}

/// A random number from 0 up to, and without, `bound`. The bound is tiny beside the numbers drawn, so each is as likely. Which
/// hosts are chosen is no secret, so that a system without random numbers just gets the first.
pub(crate) fn random_below(bound: usize) -> usize {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        return 0;
    }
    let drawn = u64::from_le_bytes(bytes) % u64::try_from(bound).unwrap_or(u64::MAX).max(1);
    usize::try_from(drawn).unwrap_or_default()
}

static LOOK_UPS: HelperThreads = HelperThreads::new("mongo-srv");
/// What `connectTimeoutMS=0`, no limit, means for name servers: they are asked for no longer than this.
const LIMIT_WITHOUT_OPTION: Duration = Duration::from_secs(5);
/// How long an answer may take from one thread to the other.
const GRACE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::error::Error as StdError;
    use std::sync::Mutex;

    use super::*;
    use crate::dns::SrvPolling;
    use crate::error::ErrorKind;
    use crate::locks::lock;
    use crate::options::ClientOptions;
    use crate::resolver::Resolver;

    type Found<T> = std::result::Result<Vec<T>, Box<dyn StdError + Send + Sync>>;

    /// Always the same records; and the times that it was given.
    #[derive(Clone)]
    struct Records {
        ttl: Duration,
        texts: Vec<String>,
        within: Arc<Mutex<Vec<Duration>>>,
    }

    impl Records {
        fn new(ttl: Duration, texts: Vec<String>) -> Self {
            Records { ttl, texts, within: Arc::default() }
        }

        fn resolve(&self, query: &str) -> Result<ClientSettings> {
            let uri = format!("mongodb+srv://cluster.example.com/{query}");
            ClientOptions::builder().uri(uri).resolver(self.clone()).build().settings()?.resolve_srv()
        }
    }

    impl Resolver for Records {
        fn srv(&self, _name: &str, within: Duration) -> Found<SrvRecord> {
            lock(&self.within).push(within);
            Ok(vec![SrvRecord::new("db1.example.com", 27017).with_ttl(self.ttl)])
        }

        fn txt(&self, _name: &str, within: Duration) -> Found<String> {
            lock(&self.within).push(within);
            Ok(self.texts.clone())
        }
    }

    #[test]
    fn a_time_to_live_of_a_resolver_in_code_is_bounded() {
        let records = Records::new(Duration::MAX, Vec::new());
        let options = records.resolve("").unwrap();
        assert_eq!(options.seedlist().unwrap().lowest_ttl, LONGEST_TTL);
        let mut polling = SrvPolling::new(&options, &RealSystem::shared()).unwrap().unwrap();
        let now = Instant::now();
        let rescanned = polling.lookup().rescan().unwrap();
        assert_eq!(rescanned.lowest_ttl, LONGEST_TTL);
        for lowest_ttl in [LONGEST_TTL, Duration::MAX] {
            let found = Seedlist { hosts: Vec::new(), txt: None, lowest_ttl };
            assert!(polling.record(Ok(found), now).is_some());
            assert!(!polling.is_due(now + Duration::from_secs(86_400 * 365)));
        }
    }

    #[test]
    fn texts_of_a_resolver_in_code_are_bounded() {
        let longest = format!("authSource={}", "x".repeat(MAX_TXT - 11));
        assert_eq!(longest.len(), MAX_TXT);
        let resolve = |texts| Records::new(LONGEST_TTL, texts).resolve("");
        assert!(resolve(vec![longest.clone()]).is_ok());
        for (texts, why) in [
            (vec![longest.clone() + "x"], "longer than 2048 bytes"),
            (vec![String::new(); MAX_RECORDS + 1], "more than 1000 TXT records"),
            (vec![String::new(); MAX_RECORDS], "1000 TXT records, and only one"),
        ] {
            let error = resolve(texts).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidResponse { .. }), "{error:?}");
            assert!(error.message().contains(why), "{error}");
        }
    }

    #[test]
    fn no_connect_timeout_means_five_seconds_for_dns() {
        for (query, limit) in [("?connectTimeoutMS=0", 5), ("?connectTimeoutMS=7000", 7)] {
            let records = Records::new(LONGEST_TTL, Vec::new());
            records.resolve(query).unwrap();
            let given = lock(&records.within).clone();
            let limit = Duration::from_secs(limit);
            let fits = |within: &Duration| *within <= limit && *within > limit - Duration::from_secs(2);
            assert!(given.len() == 2 && given.iter().all(fits), "{query}: {given:?}");
        }
    }

    #[test]
    fn a_choice_is_a_part_of_what_there_was() {
        let mut seen = [0; 5];
        for _ in 0..2_000 {
            let mut items = vec![0, 1, 2, 3, 4];
            choose(&mut items, 2);
            assert!(items.len() == 2 && items[0] != items[1], "{items:?}");
            items.iter().for_each(|item| seen[*item] += 1);
        }
        // 800 each; the standard deviation is 22.
        assert!(seen.iter().all(|count| (600..1_000).contains(count)), "{seen:?}");
        for count in [5, 6] {
            let mut items = vec![0, 1, 2, 3, 4];
            choose(&mut items, count);
            assert_eq!(items, [0, 1, 2, 3, 4]);
        }
    }
}
