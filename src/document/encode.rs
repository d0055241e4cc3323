//! Which field of a value BSON cannot hold.

use std::fmt;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::path::{Segment, join};
use crate::error::{Error, FaultKind, Stage};

/// The error for a value that could not be turned into BSON because of `source`. The value is walked once more to find the field.
pub(crate) fn cannot_encode<T: Serialize + ?Sized>(value: &T, source: bson::error::Error) -> Error {
    let mut path = Vec::new();
    let _ = value.serialize(Finder { path: &mut path });
    let path = join(&path);
    let what = if path.is_empty() { "a document".to_owned() } else { format!("{path} of a document") };
    let error = Error::new(FaultKind::BsonSerialization, Stage::Encode, format!("{what} cannot be turned into BSON"));
    let error = if path.is_empty() { error } else { error.with_path(path) };
    error.with_source(source)
}

/// Goes down to the innermost value that BSON refuses. Its path stays behind.
struct Finder<'a> {
    path: &'a mut Vec<Segment>,
}

/// The value was found.
#[derive(Debug)]
struct Found;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("found")
    }
}

impl std::error::Error for Found {}

impl serde::ser::Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Found
    }
}

/// A value under a key.
struct Probe<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Probe<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Probe", 1)?;
        document.serialize_field("value", self.0)?;
        document.end()
    }
}

/// A key with a value.
struct KeyProbe<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for KeyProbe<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(Some(1))?;
        document.serialize_entry(self.0, &0)?;
        document.end()
    }
}

fn check<T: Serialize + ?Sized>(path: &mut Vec<Segment>, segment: Segment, value: &T) -> Result<(), Found> {
    if bson::serialize_to_vec(&Probe(value)).is_ok() {
        return Ok(());
    }
    path.push(segment);
    let _ = value.serialize(Finder { path });
    Err(Found)
}

fn key(name: &str) -> Segment {
    Segment::Key(name.to_owned())
}

/// The values within a value, and where the next one is.
struct Inside<'a> {
    path: &'a mut Vec<Segment>,
    next: usize,
    key: Option<Segment>,
}

impl<'a> Finder<'a> {
    fn inside(self) -> Inside<'a> {
        Inside { path: self.path, next: 0, key: None }
    }

    fn variant(self, name: &str) -> Inside<'a> {
        self.path.push(key(name));
        self.inside()
    }
}

impl Inside<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        self.next += 1;
        check(self.path, Segment::Index(self.next - 1), value)
    }
}

/// A single value has no path of its own.
macro_rules! leaf {
    ($($method:ident($($type:ty),*);)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<(), Found> {
            Ok(())
        }
    )*};
}

impl<'a> Serializer for Finder<'a> {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeTupleStruct = Inside<'a>;
    type SerializeTupleVariant = Inside<'a>;
    type SerializeMap = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeStructVariant = Inside<'a>;

    leaf! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        check(self.path, key(variant), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a>, Found> {
        Ok(self.inside())
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside<'a>, Found> {
        Ok(self.inside())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside<'a>, Found> {
        Ok(self.inside())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'a>, Found> {
        Ok(self.variant(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a>, Found> {
        Ok(self.inside())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside<'a>, Found> {
        Ok(self.inside())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'a>, Found> {
        Ok(self.variant(variant))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident;)*) => {$(
        impl $trait for Inside<'_> {
            type Ok = ();
            type Error = Found;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
                self.element(value)
            }

            fn end(self) -> Result<(), Found> {
                Ok(())
            }
        }
    )*};
}

elements! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! fields {
    ($($trait:ident;)*) => {$(
        impl $trait for Inside<'_> {
            type Ok = ();
            type Error = Found;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Found> {
                check(self.path, key(name), value)
            }

            fn end(self) -> Result<(), Found> {
                Ok(())
            }
        }
    )*};
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}

impl SerializeMap for Inside<'_> {
    type Ok = ();
    type Error = Found;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), Found> {
        if bson::serialize_to_vec(&KeyProbe(name)).is_err() {
            return Err(Found::custom("a key that BSON refuses"));
        }
        let name = bson::serialize_to_bson(name).ok();
        self.key = name.map(|name| key(name.as_str().map_or_else(|| name.to_string(), str::to_owned).as_str()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        check(self.path, self.key.take().unwrap_or_else(|| key("")), value)
    }

    fn end(self) -> Result<(), Found> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::ErrorKind;

    #[derive(serde::Serialize)]
    struct Part {
        at: u64,
    }

    #[derive(serde::Serialize)]
    enum PartKind {
        One(u64),
        Two { deep: Vec<u64> },
        Three(u64, u64),
    }

    fn path<T: Serialize>(value: &T) -> String {
        let source = bson::serialize_to_vec(value).expect_err("a value that BSON cannot hold");
        let error = cannot_encode(value, source);
        assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)), "{error:?}");
        error.path().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_field_is_found_through_all_shapes() {
        #[derive(serde::Serialize)]
        struct With<T> {
            first: i32,
            value: T,
        }
        let with = |value| With { first: 1, value };
        assert_eq!(path(&with(u64::MAX)), "value");
        assert_eq!(path(&With { first: 1, value: Some(vec![Part { at: 1 }, Part { at: u64::MAX }]) }), "value[1].at");
        assert_eq!(path(&With { first: 1, value: BTreeMap::from([("a", 1), ("b", u64::MAX)]) }), "value.b");
        assert_eq!(path(&With { first: 1, value: (1, u64::MAX) }), "value[1]");
        assert_eq!(path(&With { first: 1, value: PartKind::One(u64::MAX) }), "value.One");
        assert_eq!(path(&With { first: 1, value: PartKind::Two { deep: vec![u64::MAX] } }), "value.Two.deep[0]");
        assert_eq!(path(&With { first: 1, value: PartKind::Three(1, u64::MAX) }), "value.Three[1]");
        assert_eq!(path(&With { first: 1, value: BTreeMap::from([(vec![1], 1)]) }), "value");
        assert_eq!(path(&7), "");
    }
}
