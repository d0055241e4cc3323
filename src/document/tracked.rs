//! A deserializer around another one that knows where it is: for the path of a field that does not fit, and to stop at a depth.
//!
//! It never shows a string of the document in an error: what does not fit may be a secret.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::take;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::path::Segment;
use crate::error::cut;

/// Where a deserializer is, what went wrong first, and how much it may still do.
pub(super) struct Track {
    path: RefCell<Vec<Segment>>,
    fault: RefCell<Option<Fault>>,
    levels_left: Cell<usize>,
    elements_left: Cell<usize>,
    exceeded: Cell<Option<Exceeded>>,
    /// Whether the next string is a key, whose place is the end of the path.
    wants_key: Cell<bool>,
}

/// What does not fit.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: Vec<Segment>,
    /// The field that is missing there.
    pub(super) missing: Option<&'static str>,
    pub(super) words: Option<String>,
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exceeded {
    Levels,
    Elements,
}

impl Track {
    pub(super) fn new(levels: usize, elements: usize) -> Self {
        Track {
            path: RefCell::default(),
            fault: RefCell::default(),
            levels_left: Cell::new(levels),
            elements_left: Cell::new(elements),
            exceeded: Cell::default(),
            wants_key: Cell::default(),
        }
    }

    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded.get()
    }

    pub(super) fn into_fault(self) -> Option<Fault> {
        self.fault.into_inner()
    }

    /// Keeps the first failure, which is the innermost.
    pub(super) fn note<E>(&self, failure: &Failure<E>) {
        self.fault.borrow_mut().get_or_insert_with(|| Fault {
            path: self.path.borrow().clone(),
            missing: failure.known.as_ref().and_then(|known| known.missing),
            words: failure.known.as_ref().map(|known| known.words.clone()),
        });
    }

    /// A failure inside was of no consequence.
    fn forgive(&self) {
        self.fault.take();
    }

    fn at<T>(&self, segment: Segment, work: impl FnOnce() -> T) -> (T, Option<Segment>) {
        self.path.borrow_mut().push(segment);
        let done = work();
        (done, self.path.borrow_mut().pop())
    }

    /// The place of a key, which is known once it has been read.
    fn at_key<T>(&self, work: impl FnOnce() -> T) -> (T, Option<Segment>) {
        self.wants_key.set(true);
        let done = self.at(Segment::Key(String::new()), work);
        self.wants_key.set(false);
        done
    }

    fn key(&self, key: &str) {
        if self.wants_key.take()
            && let Some(Segment::Key(place)) = self.path.borrow_mut().last_mut()
        {
            key.clone_into(place);
        }
    }

    fn one_more<E: de::Error>(&self) -> Result<(), E> {
        match self.elements_left.get().checked_sub(1) {
            Some(left) => {
                self.elements_left.set(left);
                Ok(())
            }
            None => Err(self.exceed(Exceeded::Elements)),
        }
    }

    fn exceed<E: de::Error>(&self, bound: Exceeded) -> E {
        self.exceeded.set(Some(bound));
        E::custom("a bound of the driver was reached")
    }

    /// One level further down.
    fn deeper<T, E: de::Error>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let levels = self.levels_left.get();
        let Some(left) = levels.checked_sub(1) else { return Err(self.exceed(Exceeded::Levels)) };
        self.levels_left.set(left);
        let done = work();
        self.levels_left.set(levels);
        done
    }
}

/// A deserializer, or a part of one, with the track that it follows.
pub(super) struct Tracked<'t, D> {
    pub(super) inner: D,
    pub(super) track: &'t Track,
}

/// An error of the deserializer inside, with what is known about it beyond that.
#[derive(Debug)]
pub(super) struct Failure<E> {
    pub(super) inner: E,
    known: Option<Box<Known>>,
}

#[derive(Debug)]
struct Known {
    missing: Option<&'static str>,
    words: String,
}

impl<E> Failure<E> {
    fn of(inner: E) -> Self {
        Failure { inner, known: None }
    }
}

impl<E: de::Error> Failure<E> {
    fn saying(words: &str) -> Self {
        Failure { inner: E::custom(words), known: Some(Box::new(Known { missing: None, words: words.to_owned() })) }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<E: std::error::Error> std::error::Error for Failure<E> {}

impl<E: de::Error> de::Error for Failure<E> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Failure::saying(&message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Failure::saying(&format!("invalid type: {}, expected {expected}", without_value(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Failure::saying(&format!("invalid value: {}, expected {expected}", without_value(unexpected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Failure::saying(&format!("unknown variant \"{}\", expected one of {expected:?}", cut(variant)))
    }

    fn missing_field(field: &'static str) -> Self {
        let known = Known { missing: Some(field), words: "the field is missing".to_owned() };
        Failure { inner: E::missing_field(field), known: Some(Box::new(known)) }
    }
}

/// What was found: numbers as they are, of strings and bytes only that.
fn without_value(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(_) => "a string".to_owned(),
        Unexpected::Bytes(_) => "binary data".to_owned(),
        other => other.to_string(),
    }
}

macro_rules! deserialize {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            let visitor = Tracked { inner: visitor, track: self.track };
            self.inner.$method($($argument,)* visitor).map_err(Failure::of)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Tracked<'_, D> {
    type Error = Failure<D::Error>;

    deserialize! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    /// What is not wanted is not looked at, however deep it is. The deserializer inside has to hear of it: bson reads its own types
    /// as maps whose next field comes only after a value was asked for.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_any(Unread).map_err(Failure::of)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'t, I> Tracked<'t, I> {
    /// The outcome for the deserializer inside; a failure is noted.
    fn outcome<T, E>(track: &'t Track, outcome: Result<T, Failure<E>>) -> Result<T, E> {
        outcome.map_err(|failure| {
            track.note(&failure);
            failure.inner
        })
    }
}

macro_rules! visit {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            Self::outcome(self.track, self.inner.$method(value))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Tracked<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool);
        visit_i8(i8);
        visit_i16(i16);
        visit_i32(i32);
        visit_i64(i64);
        visit_i128(i128);
        visit_u8(u8);
        visit_u16(u16);
        visit_u32(u32);
        visit_u64(u64);
        visit_u128(u128);
        visit_f32(f32);
        visit_f64(f64);
        visit_char(char);
        visit_bytes(&[u8]);
        visit_borrowed_bytes(&'de [u8]);
        visit_byte_buf(Vec<u8>);
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<V::Value, E> {
        self.track.key(value);
        Self::outcome(self.track, self.inner.visit_str(value))
    }

    fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.track.key(value);
        Self::outcome(self.track, self.inner.visit_borrowed_str(value))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<V::Value, E> {
        self.track.key(&value);
        Self::outcome(self.track, self.inner.visit_string(value))
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        Self::outcome(self.track, self.inner.visit_none())
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        Self::outcome(self.track, self.inner.visit_unit())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let track = self.track;
        Self::outcome(track, self.inner.visit_some(Tracked { inner: deserializer, track }))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let track = self.track;
        Self::outcome(track, self.inner.visit_newtype_struct(Tracked { inner: deserializer, track }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let track = self.track;
        let access = TrackedSeq { inner: access, track, next: 0 };
        track.deeper(|| Self::outcome(track, self.inner.visit_seq(access)))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let track = self.track;
        let access = TrackedMap { inner: access, track, key: None };
        track.deeper(|| Self::outcome(track, self.inner.visit_map(access)))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let track = self.track;
        track.deeper(|| Self::outcome(track, self.inner.visit_enum(Tracked { inner: access, track })))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Tracked<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let track = self.track;
        let value = Self::outcome(track, self.inner.deserialize(Tracked { inner: deserializer, track }))?;
        track.forgive();
        Ok(value)
    }
}

/// Takes any value and reads nothing of it.
struct Unread;

macro_rules! take_unread {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: de::Error>(self, _value: $type) -> Result<(), E> {
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Unread {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    take_unread! {
        visit_bool(bool);
        visit_i64(i64);
        visit_i128(i128);
        visit_u64(u64);
        visit_u128(u128);
        visit_f64(f64);
        visit_str(&str);
        visit_bytes(&[u8]);
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, _deserializer: D) -> Result<(), D::Error> {
        Ok(())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _deserializer: D) -> Result<(), D::Error> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _access: A) -> Result<(), A::Error> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, _access: A) -> Result<(), A::Error> {
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _access: A) -> Result<(), A::Error> {
        Ok(())
    }
}

struct TrackedSeq<'t, A> {
    inner: A,
    track: &'t Track,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for TrackedSeq<'_, A> {
    type Error = Failure<A::Error>;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        self.track.one_more()?;
        let (track, inner) = (self.track, &mut self.inner);
        let seed = Tracked { inner: seed, track };
        let (element, _) = track.at(Segment::Index(self.next), || inner.next_element_seed(seed));
        self.next += 1;
        element.map_err(Failure::of)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct TrackedMap<'t, A> {
    inner: A,
    track: &'t Track,
    key: Option<Segment>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for TrackedMap<'_, A> {
    type Error = Failure<A::Error>;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        self.track.one_more()?;
        let (track, inner) = (self.track, &mut self.inner);
        let (key, place) = track.at_key(|| inner.next_key_seed(Tracked { inner: seed, track }));
        self.key = place;
        key.map_err(Failure::of)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        let (track, inner) = (self.track, &mut self.inner);
        let place = take(&mut self.key).unwrap_or(Segment::Key(String::new()));
        let (value, _) = track.at(place, || inner.next_value_seed(Tracked { inner: seed, track }));
        value.map_err(Failure::of)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 't, A: EnumAccess<'de>> EnumAccess<'de> for Tracked<'t, A> {
    type Error = Failure<A::Error>;
    type Variant = TrackedVariant<'t, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), Self::Error> {
        let Tracked { inner, track } = self;
        let (variant, place) = track.at_key(|| inner.variant_seed(Tracked { inner: seed, track }));
        let (value, inner) = variant.map_err(Failure::of)?;
        Ok((value, TrackedVariant { inner, track, place }))
    }
}

/// The content of a variant, which has the variant's name as its key.
pub(super) struct TrackedVariant<'t, A> {
    inner: A,
    track: &'t Track,
    place: Option<Segment>,
}

impl<A> TrackedVariant<'_, A> {
    fn read<T, E>(self, work: impl FnOnce(A) -> Result<T, E>) -> Result<T, Failure<E>> {
        let place = self.place.unwrap_or(Segment::Key(String::new()));
        let inner = self.inner;
        self.track.at(place, || work(inner).map_err(Failure::of)).0
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for TrackedVariant<'_, A> {
    type Error = Failure<A::Error>;

    fn unit_variant(self) -> Result<(), Self::Error> {
        self.inner.unit_variant().map_err(Failure::of)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Self::Error> {
        let seed = Tracked { inner: seed, track: self.track };
        self.read(|inner| inner.newtype_variant_seed(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Self::Error> {
        let visitor = Tracked { inner: visitor, track: self.track };
        self.read(|inner| inner.tuple_variant(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let visitor = Tracked { inner: visitor, track: self.track };
        self.read(|inner| inner.struct_variant(fields, visitor))
    }
}
