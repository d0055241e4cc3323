//! DNS messages (RFC 1035, RFC 6891): a question is written, an answer is read and judged. Pure: no socket, no clock.
//!
//! The crate `simple-dns` knows the format. What it leaves open is checked here before it gets to see an answer: how many
//! records there are, how often a name jumps to an earlier one, and how long it is. It never sees records of other types than
//! those that matter, nor what follows the answers, so that nothing in those can make an answer unusable.

use std::borrow::Cow;
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use crate::resolver::SrvRecord;

/// What is asked: the records of type `R` of a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    /// A random number that the answer repeats.
    pub(crate) id: u16,
    /// An absolute name, without a dot at the end.
    pub(crate) name: &'a str,
    /// Whether to offer EDNS0, that is, longer answers over UDP. Some old servers refuse such a question.
    pub(crate) edns: bool,
}

/// A kind of record that can be asked for.
pub(crate) trait Record: Sized + Send + 'static {
    /// Its type in a question.
    const TYPE: TYPE;
    /// Its type in words.
    const NAME: &'static str;

    /// Reads a record; `None` for one that says there is nothing.
    fn read(data: &RData<'_>, ttl: Duration) -> Result<Option<Self>, &'static str>;
}

/// The strings of a TXT record, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TxtRecord(pub(crate) String);

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply<R> {
    /// An answer, which is final.
    Answer(Answer<R>),
    /// Not an answer to this question.
    NotOurs,
    /// The answer did not fit; TCP has room for it.
    Truncated,
    /// The server does not know EDNS0.
    WithoutEdns,
    /// The server cannot or will not answer, or its answer breaks the format.
    Unusable(Cow<'static, str>),
}

/// The records of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer<R> {
    pub(crate) records: Vec<R>,
    /// Whether there is such a name at all.
    pub(crate) name_exists: bool,
}

impl Record for SrvRecord {
    const TYPE: TYPE = TYPE::SRV;
    const NAME: &'static str = "SRV";

    fn read(data: &RData<'_>, ttl: Duration) -> Result<Option<Self>, &'static str> {
        let RData::SRV(srv) = data else { return Err("an SRV record is empty") };
        if srv.target.get_labels().is_empty() {
            return Ok(None); // RFC 2782: the service is decidedly not available
        }
        let host = host_name(&srv.target).ok_or("an SRV record names a host with characters that no host name has")?;
        Ok(Some(SrvRecord::new(host, srv.port).with_ttl(ttl)))
    }
}

impl Record for TxtRecord {
    const TYPE: TYPE = TYPE::TXT;
    const NAME: &'static str = "TXT";

    fn read(data: &RData<'_>, _ttl: Duration) -> Result<Option<Self>, &'static str> {
        let RData::TXT(txt) = data else { return Err("a TXT record is empty") };
        match String::try_from(txt.clone()) {
            Ok(text) if text.len() <= MAX_TXT => Ok(Some(TxtRecord(text))),
            Ok(_) => Err("a TXT record is longer than 2,048 bytes"),
            Err(_) => Err("a TXT record is not UTF-8"),
        }
    }
}

impl Query<'_> {
    /// The question as bytes; `None` where the name cannot stand in one.
    pub(crate) fn write<R: Record>(&self) -> Option<Vec<u8>> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            absolute(self.name)?,
            QTYPE::TYPE(R::TYPE),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        if self.edns {
            *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: UDP_SIZE, version: 0 });
        }
        packet.build_bytes_vec().ok()
    }

    /// Reads what came from the server that was asked.
    pub(crate) fn read<R: Record>(&self, message: &[u8]) -> Reply<R> {
        let Some(header) = message.first_chunk::<HEADER>() else {
            return match message.first_chunk() {
                Some(id) if u16::from_be_bytes(*id) == self.id => Reply::Unusable(MALFORMED.into()),
                _ => Reply::NotOurs,
            };
        };
        if u16::from_be_bytes([header[0], header[1]]) != self.id || header[2] & RESPONSE == 0 {
            return Reply::NotOurs;
        }
        if message.len() > MAX_MESSAGE {
            return Reply::Unusable("the answer is longer than 64 KiB".into());
        }
        match self.read_ours(message, header) {
            Ok(reply) => reply,
            Err(why) => Reply::Unusable(why),
        }
    }

    fn read_ours<R: Record>(&self, message: &[u8], header: &[u8; HEADER]) -> Result<Reply<R>, Cow<'static, str>> {
        let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let (questions, answers) = (count(4), count(6));
        let rcode = RCODE::from(u16::from(header[3] & 0x0f));
        match (questions, rcode) {
            (1, _) => {}
            // A server that could not read the question cannot repeat it.
            (0, RCODE::FormatError | RCODE::NotImplemented) if self.edns => return Ok(Reply::WithoutEdns),
            (0, RCODE::NoError | RCODE::NameError) => return Err(MALFORMED.into()),
            (0, refusal) => return Err(refused(refusal)),
            _ => return Err("the answer has more than one question".into()),
        }
        let question_end = name_end(message, HEADER).ok_or(MALFORMED)? + QUESTION_TAIL;
        let head = cut(message, question_end, 0).ok_or(MALFORMED)?;
        let head = Packet::parse(&head).map_err(|_| MALFORMED)?;
        if !head.questions.first().is_some_and(|question| self.is_asked::<R>(question)) {
            return Ok(Reply::NotOurs);
        }
        match rcode {
            RCODE::FormatError | RCODE::NotImplemented if self.edns => return Ok(Reply::WithoutEdns),
            RCODE::NoError | RCODE::NameError => {}
            refusal => return Err(refused(refusal)),
        }
        if header[2] & TRUNCATED != 0 {
            return Ok(Reply::Truncated);
        }
        if answers > MAX_RECORDS {
            return Err("the answer has more than 1,000 records".into());
        }
        let (end, others) = survey(message, question_end, answers).ok_or(MALFORMED)?;
        let mut bytes = cut(message, end, header_count(answers)).ok_or(MALFORMED)?;
        for at in others {
            hide(&mut bytes, at);
        }
        let packet = Packet::parse(&bytes).map_err(|_| MALFORMED)?;
        if rcode == RCODE::NameError {
            return Ok(Reply::Answer(Answer { records: Vec::new(), name_exists: false }));
        }
        Ok(Reply::Answer(Answer { records: self.collect(&packet.answers)?, name_exists: true }))
    }

    /// Whether the answer repeats our question. Some servers change the case of letters.
    fn is_asked<R: Record>(&self, question: &Question<'_>) -> bool {
        absolute(self.name).is_some_and(|name| name == question.qname)
            && question.qtype == QTYPE::TYPE(R::TYPE)
            && question.qclass == QCLASS::CLASS(CLASS::IN)
            && !question.unicast_response
    }

    /// The records of the name, or of the one that it is another name of (CNAME).
    fn collect<R: Record>(&self, answers: &[ResourceRecord<'_>]) -> Result<Vec<R>, Cow<'static, str>> {
        let ours = |record: &&ResourceRecord<'_>| record.class == CLASS::IN && !record.cache_flush;
        let asked = absolute(self.name).ok_or(MALFORMED)?;
        let mut name = &asked;
        let mut shortest = Duration::MAX;
        for _ in 0..=MAX_ALIASES {
            let of_name = || answers.iter().filter(ours).filter(|record| record.name == *name);
            let mut records = Vec::new();
            for record in of_name().filter(|record| record.rdata.type_code() == R::TYPE) {
                records.extend(R::read(&record.rdata, time_to_live(record).min(shortest))?);
            }
            let alias = of_name().find_map(|record| match &record.rdata {
                RData::CNAME(alias) => Some((&alias.0, time_to_live(record))),
                _ => None,
            });
            match alias {
                Some((target, ttl)) if records.is_empty() => {
                    name = target;
                    shortest = shortest.min(ttl);
                }
                _ => return Ok(records),
            }
        }
        Err("the answer goes through more than 8 CNAME records, or round in a loop".into())
    }
}

/// The name as labels. `None` where it is too long or has characters or empty labels that could turn it into another name.
fn absolute(name: &str) -> Option<Name<'_>> {
    let plain = name.split('.').all(|label| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    });
    Name::new(name).ok().filter(|_| plain)
}

/// A host's name as text; `None` where a label has a dot in it, or anything else that would make it another name as text.
fn host_name(name: &Name<'_>) -> Option<String> {
    let mut host = String::new();
    for label in name.as_bytes() {
        if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
            return None;
        }
        if !host.is_empty() {
            host.push('.');
        }
        host.push_str(std::str::from_utf8(label).ok()?);
    }
    Some(host)
}

/// RFC 2181: a time to live with the highest bit set counts as 0.
fn time_to_live(record: &ResourceRecord<'_>) -> Duration {
    Duration::from_secs(if u64::from(record.ttl) > LONGEST_TTL.as_secs() { 0 } else { record.ttl.into() })
}

fn refused(code: RCODE) -> Cow<'static, str> {
    match code {
        RCODE::FormatError => "it answered FORMERR (it did not understand the question)".into(),
        RCODE::ServerFailure => "it answered SERVFAIL (it could not find out)".into(),
        RCODE::NotImplemented => "it answered NOTIMP (it does not answer such questions)".into(),
        RCODE::Refused => "it answered REFUSED (it does not answer this client)".into(),
        _ => "it answered with an error".into(),
    }
}

/// Where the answers end, and where the type of each one stands that does not matter. `None`: they break the format, or a name
/// in them is too long or jumps too often.
fn survey(message: &[u8], answers_begin: usize, answers: usize) -> Option<(usize, Vec<usize>)> {
    let mut at = answers_begin;
    let mut others = Vec::new();
    for _ in 0..answers {
        let fixed = name_end(message, at)?;
        let kind = TYPE::from(number_at(message, fixed)?);
        let data = fixed.checked_add(RECORD_FIXED)?;
        let end = data.checked_add(number_at(message, fixed + 8)?.into())?;
        let inner = match kind {
            TYPE::SRV => Some(data + SRV_FIXED),
            TYPE::CNAME => Some(data),
            TYPE::TXT => None,
            _ => {
                others.push(fixed);
                None
            }
        };
        if let Some(name) = inner
            && end > data
        {
            name_end(message, name)?;
        }
        at = end;
    }
    (at <= message.len()).then_some((at, others))
}

/// Where the name that begins here ends, once it was followed to its end.
fn name_end(message: &[u8], begins: usize) -> Option<usize> {
    let (mut at, mut end, mut jumps, mut length) = (begins, None, 0, 1);
    loop {
        let byte = usize::from(*message.get(at)?);
        match byte >> 6 {
            0 if byte == 0 => return end.or(Some(at + 1)),
            0 => {
                length += 1 + byte;
                at += 1 + byte;
            }
            3 => {
                let target = usize::from(number_at(message, at)? & 0x3fff);
                end = end.or(Some(at + 2));
                jumps += 1;
                // Only back, or it could go round for ever.
                if target >= at || jumps > MAX_JUMPS {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
        if length > MAX_NAME {
            return None;
        }
    }
}

fn number_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at.checked_add(2)?)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn header_count(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// The message up to `end`, its header without the sections that were cut off.
fn cut(message: &[u8], end: usize, answers: u16) -> Option<Vec<u8>> {
    let mut bytes = message.get(..end)?.to_vec();
    bytes.get_mut(6..8)?.copy_from_slice(&answers.to_be_bytes());
    bytes.get_mut(8..HEADER)?.fill(0);
    *bytes.get_mut(3)? &= !RESERVED;
    Some(bytes)
}

/// Turns a record of a type that does not matter into one of a private type, so that its contents are not read.
fn hide(bytes: &mut [u8], at: usize) {
    if let Some(kind_and_class) = bytes.get_mut(at..at + 4) {
        kind_and_class.copy_from_slice(&[0xff, 0x00, 0x00, 0x01]);
    }
}

const MALFORMED: &str = "its answer breaks the format of DNS messages";
/// What a message may have over UDP without being cut into packets on the way (DNS Flag Day 2020).
pub(crate) const UDP_SIZE: u16 = 1_232;
/// The longest message that TCP's two bytes of length can announce.
const MAX_MESSAGE: usize = 65_535;
/// Far more hosts than a deployment has.
pub(super) const MAX_RECORDS: usize = 1_000;
/// Three options, each with a value of a few hundred bytes.
pub(super) const MAX_TXT: usize = 2_048;
/// RFC 2181, section 8: a time to live has 31 bits.
pub(super) const LONGEST_TTL: Duration = Duration::from_secs((1 << 31) - 1);
/// RFC 1035: octets of a name, and of a label.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;
/// A name has at most 127 labels, and each jump that makes a message shorter saves one at least.
const MAX_JUMPS: usize = 127;
/// Steps from one name to another.
const MAX_ALIASES: usize = 8;
const HEADER: usize = 12;
/// Type and class of a question.
const QUESTION_TAIL: usize = 4;
/// Type, class, time to live and length of a record.
const RECORD_FIXED: usize = 10;
/// Priority, weight and port of an SRV record.
const SRV_FIXED: usize = 6;
/// Bits of the header's third and fourth byte.
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const RESERVED: u8 = 0x40;

#[cfg(test)]
mod tests;
