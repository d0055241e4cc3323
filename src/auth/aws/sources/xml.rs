//! The subset of XML that AWS' query services use: elements and text. A document type is refused, attributes are ignored.

use zeroize::Zeroizing;

/// An element: its name without a prefix, the text right inside of it, and its children.
pub(super) struct Element {
    name: String,
    text: Zeroizing<String>,
    children: Vec<Element>,
}

impl Element {
    /// The first element on a path of names below this one.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.children.iter().find(|child| child.name == *name))
    }

    /// The text of the first element on a path, without blanks around it.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        Some(self.at(path)?.text.trim())
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Reads a whole document; the result is its outermost element. The error says what is wrong.
pub(super) fn parse(text: &str) -> Result<Element, &'static str> {
    let mut reading = Reading { rest: text.strip_prefix('\u{feff}').unwrap_or(text) };
    reading.between()?;
    let root = reading.element(0)?;
    reading.between()?;
    if reading.rest.is_empty() { Ok(root) } else { Err("there is more after the outermost element") }
}

struct Reading<'a> {
    rest: &'a str,
}

impl<'a> Reading<'a> {
    /// What may stand outside of the outermost element.
    fn between(&mut self) -> Result<(), &'static str> {
        loop {
            self.rest = self.rest.trim_start_matches(BLANKS);
            if !self.aside()? {
                return Ok(());
            }
        }
    }

    /// A comment or an instruction, if one is next.
    fn aside(&mut self) -> Result<bool, &'static str> {
        if self.takes("<!--") {
            self.until("-->").map(|_| true)
        } else if self.takes("<?") {
            self.until("?>").map(|_| true)
        } else {
            Ok(false)
        }
    }

    fn element(&mut self, depth: usize) -> Result<Element, &'static str> {
        if depth >= MAX_DEPTH {
            return Err("elements are nested too deeply");
        }
        if !self.takes("<") {
            return Err("an element is missing");
        }
        let name = self.name()?;
        let local = name.rsplit(':').next().unwrap_or(name);
        let mut element = Element { name: local.to_owned(), text: Zeroizing::default(), children: Vec::new() };
        if self.attributes()? {
            return Ok(element);
        }
        loop {
            if self.takes("</") {
                if self.name()? != name {
                    return Err("an element is closed by another name");
                }
                self.rest = self.rest.trim_start_matches(BLANKS);
                return if self.takes(">") { Ok(element) } else { Err("the end of an element is broken") };
            } else if self.takes("<![CDATA[") {
                let text = self.until("]]>")?;
                append(&mut element.text, text);
            } else if self.aside()? {
            } else if self.rest.starts_with("<!") {
                return Err("there is a document type, or the like");
            } else if self.rest.starts_with('<') {
                element.children.push(self.element(depth + 1)?);
            } else {
                self.words(&mut element.text)?;
            }
        }
    }

    /// Passes over attributes; whether the element ends with them.
    fn attributes(&mut self) -> Result<bool, &'static str> {
        loop {
            let before = self.rest;
            self.rest = before.trim_start_matches(BLANKS);
            if self.takes("/>") {
                return Ok(true);
            }
            if self.takes(">") {
                return Ok(false);
            }
            if self.rest.len() == before.len() {
                return Err("an element's name is broken");
            }
            self.name()?;
            self.rest = self.rest.trim_start_matches(BLANKS);
            if !self.takes("=") {
                return Err("an attribute has no value");
            }
            self.rest = self.rest.trim_start_matches(BLANKS);
            let quote = ["\"", "'"].into_iter().find(|quote| self.takes(quote)).ok_or("an attribute is not quoted")?;
            if self.until(quote)?.contains('<') {
                return Err("an attribute is broken");
            }
        }
    }

    fn name(&mut self) -> Result<&'a str, &'static str> {
        let other = |sign: char| !(sign.is_alphanumeric() || matches!(sign, '_' | ':' | '-' | '.'));
        let end = self.rest.find(other).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let right = name.starts_with(|first: char| first.is_alphabetic() || first == '_') && !name.ends_with(':');
        if !right {
            return Err("a name is missing or broken");
        }
        self.rest = rest;
        Ok(name)
    }

    /// Text up to the next mark, its references resolved.
    fn words(&mut self, text: &mut Zeroizing<String>) -> Result<(), &'static str> {
        let end = self.rest.find('<').ok_or(CUT)?;
        let (mut words, rest) = self.rest.split_at(end);
        self.rest = rest;
        while let Some((before, after)) = words.split_once('&') {
            let (reference, after) = after.split_once(';').ok_or("a reference has no end")?;
            append(text, before);
            append(text, referred(reference)?.encode_utf8(&mut [0; 4]));
            words = after;
        }
        append(text, words);
        Ok(())
    }

    fn takes(&mut self, mark: &str) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn until(&mut self, mark: &str) -> Result<&'a str, &'static str> {
        let (before, rest) = self.rest.split_once(mark).ok_or(CUT)?;
        self.rest = rest;
        Ok(before)
    }
}

/// Appends; if the buffer has to grow, the old one is wiped.
fn append(text: &mut Zeroizing<String>, more: &str) {
    if text.capacity() - text.len() < more.len() {
        let mut wider = Zeroizing::new(String::with_capacity((text.capacity() * 2).max(text.len() + more.len())));
        wider.push_str(text);
        *text = wider;
    }
    text.push_str(more);
}

/// The character that `&reference;` means.
fn referred(reference: &str) -> Result<char, &'static str> {
    let code = match reference {
        "amp" => return Ok('&'),
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => match (reference.strip_prefix("#x"), reference.strip_prefix('#')) {
            (Some(digits), _) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
            (None, Some(digits)) if !digits.starts_with('+') => digits.parse().ok(),
            _ => None,
        },
    };
    code.and_then(char::from_u32).filter(|character| *character != '\0').ok_or("a reference is unknown")
}

const BLANKS: &[char] = &[' ', '\t', '\r', '\n'];
const CUT: &str = "it breaks off";

/// STS nests five deep.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::noise::Noise;

    fn parsed(text: &str) -> Element {
        parse(text).unwrap_or_else(|what| panic!("{what}: {text}"))
    }

    fn broken(text: &str) -> &'static str {
        parse(text).err().unwrap_or_else(|| panic!("{text:.60} was read"))
    }

    #[test]
    fn elements_and_texts_are_read() {
        let root = parsed(
            "\u{feff}<?xml version=\"1.0\"?><!-- x > y -->\n<a:Root xmlns=\"https://x/\" y = 'a\"b'>\n <One>1 &amp; &#x41;&#66;</One >\
             <Two/><Two>second</Two><Three><![CDATA[<raw> &amp;]]> more</Three> \n</a:Root>\n",
        );
        assert_eq!(root.name(), "Root");
        assert_eq!(root.text(&["One"]), Some("1 & AB"));
        assert_eq!(root.text(&["Two"]), Some(""));
        assert_eq!(root.text(&["Three"]), Some("<raw> &amp; more"));
        assert_eq!(root.text(&["Three", "Four"]), None);
        assert_eq!(root.text(&[]), Some(""));
    }

    #[test]
    fn what_is_broken_is_refused() {
        for (text, what) in [
            ("", "an element is missing"),
            ("text", "an element is missing"),
            ("<a>", "breaks off"),
            ("<a></b>", "another name"),
            ("<a></a", "end of an element"),
            ("<a/><b/>", "more after"),
            ("<a b></a>", "no value"),
            ("<a b=c></a>", "not quoted"),
            ("<a b=\"c></a>", "breaks off"),
            ("<a>&nbsp;</a>", "reference is unknown"),
            ("<a>&#xD800;</a>", "reference is unknown"),
            ("<a>&#+65;</a>", "reference is unknown"),
            ("<a>&amp</a>", "reference has no end"),
            ("<a><!-- </a>", "breaks off"),
            ("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "name is missing"),
            ("<a><!ENTITY b \"c\"></a>", "document type"),
            ("<1/>", "name is missing"),
            ("< a/>", "name is missing"),
            ("<a:/>", "name is missing"),
        ] {
            assert!(broken(text).contains(what), "{text}: {}", broken(text));
        }
        assert!(broken(&"<a>".repeat(100_000)).contains("too deeply"));
    }

    /// What is written is read back the same, and no spoilt text makes the reader panic.
    #[test]
    fn what_is_written_is_read_back() {
        let mut noise = Noise(7);
        for _ in 0..300 {
            let values: Vec<String> = (0..noise.below(6))
                .map(|_| {
                    (0..noise.below(20)).map(|_| ['<', '&', '>', 'é', '"', 'x', ']', ';'][noise.below(8)]).collect()
                })
                .collect();
            let mut text = "<r>".to_owned();
            for (index, value) in values.iter().enumerate() {
                let written = match noise.below(2) {
                    0 => value.replace('&', "&amp;").replace('<', "&lt;").replace('é', "&#233;"),
                    _ => format!("<![CDATA[{}]]>", value.replace("]]>", "]]]]><![CDATA[>")),
                };
                text += &format!("<n{index} a='b'>{written}</n{index}>");
            }
            text += "</r>";
            let root = parsed(&text);
            for (index, value) in values.iter().enumerate() {
                assert_eq!(root.text(&[&format!("n{index}")]), Some(&**value), "{text}");
            }
            let spoilt = noise.spoil(text.as_bytes());
            let _ = parse(&String::from_utf8_lossy(&spoilt));
        }
    }
}
