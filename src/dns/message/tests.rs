use super::*;

const NAME: &str = "_mongodb._tcp.cluster.example.com";
const QUERY: Query<'static> = Query { id: 0x1234, name: NAME, edns: true };

/// Builds a message by hand, with no help of the crate that reads it.
struct Message(Vec<u8>);

impl Message {
    /// An answer to [`QUERY`] for SRV records, with so many records to follow.
    fn answer(count: u16) -> Self {
        Message::with_question(NAME, 33, count)
    }

    fn with_question(name: &str, kind: u16, count: u16) -> Self {
        let mut message = Message(vec![0x12, 0x34, 0x81, 0x80, 0, 1]);
        message.number(count).number(0).number(0);
        message.name(name).number(kind).number(1);
        message
    }

    fn number(&mut self, number: u16) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn name(&mut self, name: &str) -> &mut Self {
        for label in name.split('.').filter(|label| !label.is_empty()) {
            self.0.push(u8::try_from(label.len()).unwrap());
            self.0.extend(label.as_bytes());
        }
        self.0.push(0);
        self
    }

    fn record(&mut self, name: &str, kind: u16, ttl: u32, data: &[u8]) -> &mut Self {
        self.name(name).number(kind).number(1);
        self.0.extend(ttl.to_be_bytes());
        self.number(u16::try_from(data.len()).unwrap());
        self.0.extend(data);
        self
    }

    fn srv(&mut self, port: u16, host: &str) -> &mut Self {
        let mut data = Message(vec![0, 1, 0, 2]);
        data.number(port).name(host);
        self.record(NAME, 33, 300, &data.0)
    }

    fn alias(&mut self, name: &str, target: &str, ttl: u32) -> &mut Self {
        let mut data = Message(Vec::new());
        data.name(target);
        self.record(name, 5, ttl, &data.0)
    }

    fn read(&self) -> Reply<SrvRecord> {
        QUERY.read(&self.0)
    }
}

fn hosts(reply: Reply<SrvRecord>) -> Vec<(String, u16, u64)> {
    match reply {
        Reply::Answer(answer) => {
            answer.records.into_iter().map(|record| (record.host, record.port, record.ttl.as_secs())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn unusable(reply: Reply<SrvRecord>) -> String {
    match reply {
        Reply::Unusable(why) => why.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_is_what_rfc_1035_says() {
    let question = Query { name: "a.bc", ..QUERY }.write::<TxtRecord>().unwrap();
    let expected = [
        0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, // id, recursion desired, one question, one additional record
        1, b'a', 2, b'b', b'c', 0, 0, 16, 0, 1, // a.bc TXT IN
        0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0, // OPT: 1,232 bytes, version 0
    ];
    assert_eq!(question, expected);
    let question = Query { name: "a.bc", edns: false, ..QUERY }.write::<SrvRecord>().unwrap();
    assert_eq!(question, [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 2, b'b', b'c', 0, 0, 33, 0, 1]);
}

#[test]
fn names_that_no_question_can_hold() {
    let long_label = format!("{}.com", "a".repeat(64));
    let long_name = vec!["a".repeat(63); 4].join(".");
    for name in ["", ".", "a..b", "a.b.", "a\\.b", "caf\u{e9}.example", "a b", "a\0b", &long_label, &long_name] {
        assert!(Query { name, ..QUERY }.write::<SrvRecord>().is_none(), "{name}");
    }
    let longest = format!("{}.{}", ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join("."), "d".repeat(61));
    assert_eq!(longest.len(), 253);
    assert!(Query { name: &longest, ..QUERY }.write::<SrvRecord>().is_some());
}

#[test]
fn records_of_the_name() {
    let mut message = Message::answer(3);
    message.srv(27017, "db1.example.com").srv(27018, "DB2.example.com").srv(27017, "db1.example.com");
    let hosts = hosts(message.read());
    assert_eq!(hosts[0], ("db1.example.com".to_owned(), 27017, 300));
    assert_eq!(hosts[1], ("DB2.example.com".to_owned(), 27018, 300));
    assert_eq!(hosts.len(), 3);
}

#[test]
fn the_case_of_the_question_does_not_count() {
    let mut message = Message::with_question(&NAME.to_uppercase(), 33, 1);
    message.srv(27017, "db1.example.com");
    assert_eq!(hosts(message.read()).len(), 1);
}

#[test]
fn what_is_no_answer_to_the_question() {
    let mut good = Message::answer(1);
    good.srv(27017, "db1.example.com");
    let spoiled = |at: usize, byte: u8| {
        let mut bytes = good.0.clone();
        bytes[at] = byte;
        QUERY.read::<SrvRecord>(&bytes)
    };
    assert_eq!(spoiled(1, 0x35), Reply::NotOurs, "another id");
    assert_eq!(spoiled(2, 0x01), Reply::NotOurs, "a question, no answer");
    assert_eq!(spoiled(13, b'x'), Reply::NotOurs, "another name");
    let tail = 12 + NAME.len() + 2;
    assert_eq!(spoiled(tail + 1, 16), Reply::NotOurs, "another type");
    assert_eq!(spoiled(tail + 3, 3), Reply::NotOurs, "another class");
    assert_eq!(spoiled(tail + 2, 0x80), Reply::NotOurs, "a class of multicast DNS");
    assert_eq!(QUERY.read::<SrvRecord>(&[]), Reply::NotOurs);
    assert_eq!(QUERY.read::<SrvRecord>(&[0x12, 0x35, 0]), Reply::NotOurs);
}

#[test]
fn an_answer_that_was_cut_off_is_for_tcp() {
    let mut message = Message::answer(9);
    message.0[2] |= 0x02;
    assert_eq!(message.read(), Reply::Truncated);
}

#[test]
fn refusals() {
    for (code, said) in [(2, "SERVFAIL"), (5, "REFUSED"), (9, "error"), (15, "error")] {
        let mut message = Message::answer(0);
        message.0[3] = 0x80 | code;
        assert!(unusable(message.read()).contains(said));
    }
    for code in [1, 4] {
        let mut message = Message::answer(0);
        message.0[3] = 0x80 | code;
        assert_eq!(message.read(), Reply::WithoutEdns);
        let plain = Query { edns: false, ..QUERY }.read::<SrvRecord>(&message.0);
        assert!(matches!(plain, Reply::Unusable(_)), "{plain:?}");
        let header = [0x12, 0x34, 0x81, 0x80 | code, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(QUERY.read::<SrvRecord>(&header), Reply::WithoutEdns, "without the question");
    }
}

#[test]
fn no_such_name_and_no_such_record() {
    let mut message = Message::answer(0);
    assert_eq!(message.read(), Reply::Answer(Answer { records: Vec::new(), name_exists: true }));
    message.0[3] |= 3;
    assert_eq!(message.read(), Reply::Answer(Answer { records: Vec::new(), name_exists: false }));
}

#[test]
fn records_of_other_names_types_and_classes_are_passed_over() {
    let mut message = Message::answer(5);
    message.record("other.example.com", 33, 300, b"\0\0\0\0\x69\x89\x02hi\0");
    message.record(NAME, 16, 300, b"\x05hello");
    message.record(NAME, 43, 300, b"\xff"); // a DS record that is malformed
    message.record(NAME, 33, 300, b"\0\0\0\0\x69\x89\x02hi\0");
    let class = message.0.len() - 10 - 10 + 3;
    message.0[class] = 3;
    message.srv(27017, "db1.example.com");
    assert_eq!(hosts(message.read()).len(), 1);
}

#[test]
fn what_follows_the_answers_is_not_read() {
    let mut message = Message::answer(1);
    message.0[8..12].copy_from_slice(&[0xff; 4]);
    message.srv(27017, "db1.example.com").0.extend([0xff; 9]);
    assert_eq!(hosts(message.read()).len(), 1);
}

#[test]
fn a_service_that_is_not_there_names_the_root() {
    let mut message = Message::answer(1);
    message.srv(0, "");
    assert!(hosts(message.read()).is_empty());
}

#[test]
fn a_label_with_a_dot_in_it_is_no_host() {
    for label in [&b"\x04ev.l\x07example\x03com\0"[..], b"\x02\xc3\xa9\0", b"\x01/\0", b"\x01 \0"] {
        let mut message = Message::answer(1);
        message.record(NAME, 33, 300, &[b"\0\0\0\0\x69\x89", label].concat());
        assert!(unusable(message.read()).contains("no host name"));
    }
}

#[test]
fn aliases_are_followed_eight_times() {
    for (steps, fine) in [(1, true), (8, true), (9, false)] {
        let mut message = Message::answer(steps + 1);
        let name = |step: u16| if step == 0 { NAME.to_owned() } else { format!("a{step}.example.com") };
        for step in 0..steps {
            message.alias(&name(step), &name(step + 1).to_uppercase(), 60 + u32::from(step));
        }
        message.record(&name(steps), 33, 300, b"\0\0\0\0\x69\x89\x02hi\0");
        if fine {
            assert_eq!(hosts(message.read()), [("hi".to_owned(), 27017, 60)], "{steps}")
        } else {
            assert!(unusable(message.read()).contains("CNAME"))
        }
    }
}

#[test]
fn aliases_in_a_loop_end() {
    let mut message = Message::answer(2);
    message.alias(NAME, "a.example.com", 60).alias("a.example.com", NAME, 60);
    assert!(unusable(message.read()).contains("loop"));
    let mut message = Message::answer(1);
    message.alias(NAME, NAME, 60);
    assert!(unusable(message.read()).contains("loop"));
    let mut message = Message::answer(1);
    message.alias(NAME, "elsewhere.example.com", 60);
    assert!(hosts(message.read()).is_empty(), "an alias of a name without records");
}

#[test]
fn names_that_jump() {
    // The host's name ends in a pointer to the question's name, past its first two labels.
    let mut message = Message::answer(1);
    let parent = u8::try_from(12 + "_mongodb._tcp.".len()).unwrap();
    message.record(NAME, 33, 300, &[b"\0\0\0\0\x69\x89\x02hi", &[0xc0, parent][..]].concat());
    assert_eq!(hosts(message.read())[0].0, "hi.cluster.example.com");
    // To itself, to a later place, to the end of the message, and to a label of a reserved kind.
    let here = u8::try_from(message.0.len() - 2).unwrap();
    for target in [here, here + 1, 0xff] {
        *message.0.last_mut().unwrap() = target;
        assert_eq!(unusable(message.read()), MALFORMED);
    }
}

#[test]
fn pointers_to_pointers_are_bounded() {
    for (jumps, fine) in [(MAX_JUMPS, true), (MAX_JUMPS + 1, false)] {
        // A TXT record of another name holds the chain; its contents are never read as strings, but names may point there.
        let mut message = Message::answer(2);
        let chain_begins = message.0.len() + 1 + 10;
        let mut chain = vec![2, b'h', b'i', 0];
        let mut last = chain_begins;
        for _ in 1..jumps {
            let here = chain_begins + chain.len();
            chain.extend((0xc000_u16 | u16::try_from(last).unwrap()).to_be_bytes());
            last = here;
        }
        message.record("", 99, 0, &chain);
        let pointer = (0xc000_u16 | u16::try_from(last).unwrap()).to_be_bytes();
        message.record(NAME, 33, 300, &[&b"\0\0\0\0\x69\x89"[..], &pointer].concat());
        if fine {
            assert_eq!(hosts(message.read())[0].0, "hi")
        } else {
            assert_eq!(unusable(message.read()), MALFORMED)
        }
    }
}

#[test]
fn names_are_bounded() {
    let labels = |last: usize| format!("{}.{}", vec!["a".repeat(62); 3].join("."), "b".repeat(last));
    let mut message = Message::answer(1);
    message.srv(27017, &format!("{}.c", labels(62)));
    assert_eq!(hosts(message.read())[0].0.len(), 253);
    let mut message = Message::answer(1);
    message.srv(27017, &format!("{}.cc", labels(62)));
    assert_eq!(unusable(message.read()), MALFORMED);
}

#[test]
fn records_are_bounded() {
    let mut message = Message::answer(1_000);
    for _ in 0..1_000 {
        message.record("", 33, 300, b"\0\0\0\0\x69\x89\x02hi\0");
    }
    assert!(hosts(message.read()).is_empty());
    let header_only = Message::answer(1_001);
    assert!(unusable(header_only.read()).contains("1,000"));
    let message = Message(vec![0; 65_536]);
    let query = Query { id: 0, ..QUERY };
    let mut bytes = message.0;
    bytes[2] = 0x80;
    assert!(matches!(query.read::<SrvRecord>(&bytes), Reply::Unusable(why) if why.contains("64 KiB")));
}

#[test]
fn times_to_live() {
    for (ttl, expected) in [(0, 0), (60, 60), (i32::MAX as u32, i32::MAX as u64), (0x8000_0000, 0)] {
        let mut message = Message::answer(1);
        message.record(NAME, 33, ttl, b"\0\0\0\0\x69\x89\x02hi\0");
        assert_eq!(hosts(message.read())[0].2, expected);
    }
}

#[test]
fn texts() {
    let query = Query { name: "example.com", ..QUERY };
    let read = |data: &[u8]| {
        let mut message = Message::with_question("example.com", 16, 1);
        message.record("example.com", 16, 60, data);
        query.read::<TxtRecord>(&message.0)
    };
    let text = |text: &str| Reply::Answer(Answer { records: vec![TxtRecord(text.to_owned())], name_exists: true });
    assert_eq!(read(b"\x08replicaS\x06et=rep\x02l0"), text("replicaSet=repl0"));
    assert_eq!(read(b"\0"), text(""));
    for (data, said) in [(&b""[..], "empty"), (b"\x05abc", "breaks"), (b"\x02\xff\xfe", "UTF-8")] {
        assert!(matches!(read(data), Reply::Unusable(why) if why.contains(said)), "{data:?}");
    }
    let long = |bytes: usize| [&[255][..], &[b'a'; 255]].concat().repeat(bytes / 255);
    assert_eq!(read(&long(2_040)), text(&"a".repeat(2_040)));
    assert!(matches!(read(&long(2_295)), Reply::Unusable(why) if why.contains("2,048")));
}

/// A hundred thousand answers of noise, half of them with a header and a question that are right.
#[test]
fn noise_never_panics() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut answers = 0;
    for round in 0..100_000 {
        let mut message = Message::answer((random() % 6) as u16);
        if round % 2 == 0 {
            message.0.truncate((random() % 20) as usize);
        } else if round % 4 == 1 {
            message.srv(27017, "db1.example.com").alias(NAME, "db2.example.com", 1);
        }
        let noise = (random() % 64) as usize;
        message.0.extend((0..noise).map(|_| if random() % 3 == 0 { 0xc0 } else { random() as u8 % 40 }));
        for _ in 0..random() % 3 {
            let at = (random() as usize) % message.0.len().max(1);
            if let Some(byte) = message.0.get_mut(at) {
                *byte = random() as u8;
            }
        }
        answers += usize::from(matches!(message.read(), Reply::Answer(_)));
        let _ = QUERY.read::<TxtRecord>(&message.0);
    }
    assert!(answers > 1_000, "the noise must get past the header at times: {answers}");
}
