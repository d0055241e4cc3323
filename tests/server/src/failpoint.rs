//! The `failCommand` fail point, as mongod has it.

use std::time::Duration;

use bson::{Bson, Document, doc};

use crate::answers::{self, integer};

/// The fail point's setting and how often it was hit.
#[derive(Debug, Default)]
pub(crate) struct FailPoint {
    setting: Option<Setting>,
    count: i32,
}

#[derive(Debug)]
struct Setting {
    /// How many commands yet to let pass.
    skip: i64,
    /// How many commands yet to fail; `None` is all.
    times: Option<i64>,
    data: Document,
}

/// What is to happen to a command. Blocking comes first, as in mongod.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effect {
    pub(crate) block: Option<Duration>,
    pub(crate) close: bool,
    /// The whole answer; the command is not run.
    pub(crate) error: Option<Document>,
    /// Added to the answer of the command, which is run.
    pub(crate) write_concern_error: Option<Bson>,
    /// The labels that go with it.
    pub(crate) labels: Option<Bson>,
}

impl FailPoint {
    /// Carries out `configureFailPoint` and gives the answer to it.
    pub(crate) fn configure(&mut self, command: &Document) -> Document {
        let data = command.get_document("data").cloned().unwrap_or_default();
        let count = self.count;
        let (skip, times) = match command.get("mode") {
            Some(Bson::String(mode)) if mode == "alwaysOn" => (0, None),
            Some(Bson::String(mode)) if mode == "off" => {
                self.setting = None;
                return doc! {"count": count, "ok": 1.0};
            }
            Some(Bson::Document(mode)) if mode.contains_key("times") => (0, integer(mode.get("times"))),
            Some(Bson::Document(mode)) if mode.contains_key("skip") => (integer(mode.get("skip")).unwrap_or(0), None),
            _ => return answers::error(2, "mode must be alwaysOn, off, {times: n} or {skip: n}"),
        };
        self.setting = Some(Setting { skip, times, data });
        self.count = 0;
        doc! {"count": count, "ok": 1.0}
    }

    /// What the fail point does to this command, if anything. Counts it.
    pub(crate) fn hit(&mut self, name: &str, app_name: Option<&str>) -> Option<Effect> {
        let setting = self.setting.as_mut()?;
        if !setting.concerns(name, app_name) {
            return None;
        }
        if setting.skip > 0 {
            setting.skip -= 1;
            return None;
        }
        self.count += 1;
        let effect = setting.effect();
        if let Some(times) = &mut setting.times {
            *times -= 1;
            if *times <= 0 {
                self.setting = None;
            }
        }
        Some(effect)
    }
}

impl Setting {
    fn concerns(&self, name: &str, app_name: Option<&str>) -> bool {
        let names = self.data.get_array("failCommands").map(Vec::as_slice).unwrap_or_default();
        let named = names.iter().filter_map(Bson::as_str).any(|n| same_command(n, name));
        let wanted = self.data.get_str("appName").ok();
        named && name != "configureFailPoint" && wanted.is_none_or(|wanted| app_name == Some(wanted))
    }

    fn effect(&self) -> Effect {
        let data = &self.data;
        let labels = data.get("errorLabels").cloned();
        let mut effect = Effect {
            close: data.get_bool("closeConnection").unwrap_or(false),
            write_concern_error: data.get("writeConcernError").cloned(),
            ..Effect::default()
        };
        if data.get_bool("blockConnection").unwrap_or(false) {
            let time = integer(data.get("blockTimeMS")).and_then(|ms| u64::try_from(ms).ok());
            effect.block = time.map(Duration::from_millis);
        }
        if let Some(code) = integer(data.get("errorCode")).and_then(|code| i32::try_from(code).ok()) {
            let mut error = answers::error(code, "Failing command via 'failCommand' failpoint");
            if let Some(Bson::Document(info)) = data.get("errorExtraInfo") {
                error.extend(info.clone());
            }
            if let Some(labels) = &labels {
                error.insert("errorLabels", labels.clone());
            }
            effect.error = Some(error);
        }
        effect.labels = labels;
        effect
    }
}

/// hello goes by three names; a fail point for `hello` and one for `isMaster` are told apart, the spellings of the latter not.
fn same_command(one: &str, other: &str) -> bool {
    one == other || (one.eq_ignore_ascii_case("isMaster") && other.eq_ignore_ascii_case("isMaster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_labels_and_app_name() {
        let mut point = FailPoint::default();
        let set = doc! {
            "configureFailPoint": "failCommand", "mode": {"times": 2},
            "data": {"failCommands": ["find"], "errorCode": 11600, "errorLabels": ["A"], "appName": "me"},
        };
        assert_eq!(point.configure(&set).get_i32("count").unwrap(), 0);
        assert!(point.hit("insert", Some("me")).is_none());
        assert!(point.hit("find", None).is_none());
        let error = point.hit("find", Some("me")).unwrap().error.unwrap();
        assert_eq!(error.get_i32("code").unwrap(), 11600);
        assert_eq!(error.get_array("errorLabels").unwrap().len(), 1);
        assert!(point.hit("find", Some("me")).is_some());
        assert!(point.hit("find", Some("me")).is_none());
        let off = doc! {"configureFailPoint": "failCommand", "mode": "off"};
        assert_eq!(point.configure(&off).get_i32("count").unwrap(), 2);
    }
}
