//! The form of AWS' config and credentials files, as the AWS tools read it.
//!
//! Sections in brackets, `name = value` or `name: value`, names in any case, whole-line comments with `#` and `;`, values that go
//! on in lines that are indented deeper. A section or a name that comes twice is an error, and so is a line without a meaning. The
//! section `DEFAULT` (in capitals) gives every other section its values.

use std::borrow::Cow;

/// A file that was read: its sections in order.
#[derive(Default)]
pub(super) struct Ini<'a> {
    sections: Vec<Section<'a>>,
}

/// The lines from one section header to the next.
pub(super) struct Section<'a> {
    name: &'a str,
    entries: Vec<Entry<'a>>,
}

/// A name in lower case, and its value. A value in several lines has a line feed between them.
struct Entry<'a> {
    name: String,
    value: Cow<'a, str>,
}

/// What is wrong with a file, and in which line (from 1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

impl<'a> Ini<'a> {
    /// Reads a whole file.
    pub(super) fn parse(text: &'a str) -> Result<Ini<'a>, Wrong> {
        let mut reading = Reading::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.split('\n').enumerate() {
            reading.line(line).map_err(|what| Wrong { line: index + 1, what })?;
        }
        Ok(reading.finish())
    }

    /// The sections but `DEFAULT`, by name.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.sections.iter().map(|section| section.name).filter(|name| *name != DEFAULTS)
    }

    /// A value of a section, or the one that `DEFAULT` gives to a section that is there.
    pub(super) fn get(&self, section: &str, name: &str) -> Option<&str> {
        let section = self.section(section).filter(|section| section.name != DEFAULTS)?;
        section.get(name).or_else(|| self.section(DEFAULTS)?.get(name))
    }

    /// Whether there is such a section.
    pub(super) fn has(&self, section: &str) -> bool {
        self.names().any(|name| name == section)
    }

    fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl Section<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &*entry.value)
    }
}

/// A value of a value: AWS' files have one level of these, as indented lines below a name without a value of its own.
pub(super) fn nested<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let lines = value.strip_prefix('\n')?.split('\n');
    lines.filter_map(|line| line.split_once('=')).find(|(own, _)| own.trim() == name).map(|(_, value)| value.trim())
}

/// The file as far as it was read.
#[derive(Default)]
struct Reading<'a> {
    ini: Ini<'a>,
    /// How far the last line that was no continuation was indented.
    indent: usize,
    /// Whether the next line may go on with the last value.
    open: bool,
}

impl<'a> Reading<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), &'static str> {
        let value = line.trim();
        if value.starts_with(['#', ';']) {
            return Ok(());
        }
        if value.is_empty() {
            return self.go_on("");
        }
        let indent = line.chars().take_while(|sign| sign.is_whitespace()).count();
        if self.open && indent > self.indent {
            return self.go_on(value);
        }
        self.indent = indent;
        match value.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            Some((name, _)) if !name.is_empty() => self.begin(name),
            _ => self.entry(value),
        }
    }

    fn begin(&mut self, name: &'a str) -> Result<(), &'static str> {
        self.open = false;
        if self.ini.sections.len() >= MAX_SECTIONS {
            return Err("there are more than 10000 sections");
        }
        match self.ini.section(name) {
            Some(_) => Err("this section comes twice"),
            None => {
                self.ini.sections.push(Section { name, entries: Vec::new() });
                Ok(())
            }
        }
    }

    fn entry(&mut self, line: &'a str) -> Result<(), &'static str> {
        let section = self.ini.sections.last_mut().ok_or("this line is before the first section")?;
        let (name, value) = line.split_once(['=', ':']).ok_or("this line is no section, no comment, and has no =")?;
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            return Err("this line has no name before its =");
        }
        if section.get(&name).is_some() {
            return Err("this name comes twice in its section");
        }
        section.entries.push(Entry { name, value: Cow::Borrowed(value.trim()) });
        self.open = true;
        Ok(())
    }

    /// One more line for the last value.
    fn go_on(&mut self, more: &str) -> Result<(), &'static str> {
        let last = self.ini.sections.last_mut().and_then(|section| section.entries.last_mut());
        if let Some(entry) = last.filter(|_| self.open) {
            let value = entry.value.to_mut();
            value.push('\n');
            value.push_str(more);
        }
        Ok(())
    }

    fn finish(mut self) -> Ini<'a> {
        for entry in self.ini.sections.iter_mut().flat_map(|section| &mut section.entries) {
            if let Cow::Owned(value) = &mut entry.value {
                value.truncate(value.trim_end().len());
            }
        }
        self.ini
    }
}

/// The section whose values all others have, too.
const DEFAULTS: &str = "DEFAULT";

/// Names are compared one by one, so their number is bounded.
const MAX_SECTIONS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::noise::Noise;

    fn parse(text: &str) -> Ini<'_> {
        Ini::parse(text).unwrap_or_else(|wrong| panic!("{wrong:?} in {text:?}"))
    }

    #[test]
    fn sections_names_and_values_are_read() {
        let ini = parse(
            "# a comment\n\n[default]\r\naws_access_key_id = AKID\r\nAWS_Secret_Access_Key=a=b:c # not a comment\n  ; one\n\
             [profile two]   trailing words\n   region: eu-west-1\n   output =\n[x]]\ny = 1",
        );
        assert_eq!(ini.get("default", "aws_access_key_id"), Some("AKID"));
        assert_eq!(ini.get("default", "aws_secret_access_key"), Some("a=b:c # not a comment"));
        assert_eq!(ini.get("profile two", "region"), Some("eu-west-1"));
        assert_eq!(ini.get("profile two", "output"), Some(""));
        assert_eq!(ini.get("x]", "y"), Some("1"));
        assert_eq!(ini.names().collect::<Vec<_>>(), ["default", "profile two", "x]"]);
        assert!(ini.has("default") && !ini.has("two"));
    }

    #[test]
    fn values_go_on_in_indented_lines() {
        let ini = parse(
            "[services a]\nsts =\n  endpoint_url = http://x\n\n  other = 1\ns3 = 2\n[b]\n  c = 1\n  d = 2\n   more\n",
        );
        let sts = ini.get("services a", "sts").unwrap();
        assert_eq!(nested(sts, "endpoint_url"), Some("http://x"));
        assert_eq!(nested(sts, "other"), Some("1"));
        assert_eq!(nested(sts, "s3"), None);
        assert_eq!(nested("plain = 1", "plain"), None);
        assert_eq!(ini.get("services a", "s3"), Some("2"));
        assert_eq!(ini.get("b", "c"), Some("1"));
        assert_eq!(ini.get("b", "d"), Some("2\nmore"));
    }

    #[test]
    fn the_section_of_defaults_gives_its_values_to_all() {
        let ini = parse("[DEFAULT]\nregion = r\n[a]\n[b]\nregion = s\n");
        assert_eq!(ini.get("a", "region"), Some("r"));
        assert_eq!(ini.get("b", "region"), Some("s"));
        assert_eq!(ini.get("c", "region"), None);
        assert_eq!(ini.get("DEFAULT", "region"), None);
    }

    #[test]
    fn what_is_broken_is_told_with_its_line() {
        for (text, line, what) in [
            ("a = 1", 1, "before the first section"),
            ("[a]\nb", 2, "has no ="),
            ("[a]\n= 1", 2, "no name before"),
            ("[a]\nb = 1\nB = 2", 3, "name comes twice"),
            ("[a]\n[b]\n[a]", 3, "section comes twice"),
            ("[]", 1, "before the first section"),
            ("[a]\n[b", 2, "has no ="),
        ] {
            let wrong = Ini::parse(text).err().expect(text);
            assert_eq!(wrong.line, line, "{text:?}");
            assert!(wrong.what.contains(what), "{text:?}: {wrong:?}");
        }
    }

    /// What is written is read back the same, and no spoilt file makes the reader panic.
    #[test]
    fn what_is_written_is_read_back() {
        let mut noise = Noise(0x5eed);
        for _ in 0..300 {
            let mut text = String::new();
            let mut expected = Vec::new();
            for section in 0..noise.below(5) {
                text += &format!("[s {section}]\n");
                for name in 0..noise.below(5) {
                    let value: String = (0..noise.below(12))
                        .map(|_| ['a', '=', '[', ']', '#', 'é', ':', '%'][noise.below(8)])
                        .collect();
                    text += &format!("{}n{name} = {value}\n", " ".repeat(section));
                    expected.push((format!("s {section}"), format!("n{name}"), value));
                    text += ["", "# comment\n", "\n", "; [x]\n"][noise.below(4)];
                }
            }
            let ini = parse(&text);
            for (section, name, value) in expected {
                assert_eq!(ini.get(&section, &name), Some(&*value), "{text}");
            }
            let spoilt = noise.spoil(text.as_bytes());
            let _ = Ini::parse(&String::from_utf8_lossy(&spoilt));
        }
    }
}
