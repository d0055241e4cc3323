//! What name servers and SOCKS5 proxies say.

#[cfg(feature = "srv")]
use crate::dns::{Query, Reply, TxtRecord};
#[cfg(feature = "srv")]
use crate::resolver::SrvRecord;
use crate::transport::socks5_negotiate;

/// What a name server answers: hosts are host names, texts are bounded, and there are not too many of either. The first byte
/// picks what was asked for; the question has the id 0.
#[cfg(feature = "srv")]
pub fn dns(data: &[u8]) {
    let Some((&choice, message)) = data.split_first() else { return };
    let name = if choice & 2 == 0 { "_mongodb._tcp.cluster.example.com" } else { "cluster.example.com" };
    let query = Query { id: 0, name, edns: choice & 4 == 0 };
    if choice & 1 == 0 {
        let Reply::Answer(answer) = query.read::<SrvRecord>(message) else { return };
        let fits = |host: &str| host.len() <= 253 && host.split('.').all(|label| (1..=63).contains(&label.len()));
        assert!(answer.records.len() <= 1_000 && answer.records.iter().all(|record| fits(&record.host)));
    } else {
        let Reply::Answer(answer) = query.read::<TxtRecord>(message) else { return };
        assert!(answer.records.len() <= 1_000 && answer.records.iter().all(|TxtRecord(text)| text.len() <= 2_048));
    }
    assert!(query.write::<SrvRecord>().is_some_and(|question| question.len() <= 512));
}

/// What a SOCKS5 proxy says: the conversation ends, and reads no more than its longest form has. The first byte picks whether
/// there is a login.
pub fn socks5(data: &[u8]) {
    let Some((&choice, answers)) = data.split_first() else { return };
    if let Some(read) = socks5_negotiate(answers, choice & 1 == 1) {
        assert!((9..=2 + 2 + 4 + 1 + 257).contains(&read), "{read}");
    }
}
