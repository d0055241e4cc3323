//! Whether a type that may borrow is [`Document`], which serde cannot tell.
#![allow(unsafe_code)]

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, transmute};

use bson::Document;

/// The id of a type whose lifetimes are taken as `'static`.
trait AnyType {
    fn id(&self) -> TypeId
    where
        Self: 'static;
}

impl<T: ?Sized> AnyType for PhantomData<T> {
    fn id(&self) -> TypeId
    where
        Self: 'static,
    {
        TypeId::of::<T>()
    }
}

/// Whether `T` is [`Document`]. A type with lifetimes never is, since `Document` has none.
pub(super) fn is_document<T>() -> bool {
    let phantom = PhantomData::<T>;
    let any: &dyn AnyType = &phantom;
    // SAFETY: only the bound of the trait object changes. Its method reads no data of type `T`; it returns a constant that does not
    // depend on lifetimes.
    let any: &(dyn AnyType + 'static) = unsafe { transmute(any) };
    any.id() == TypeId::of::<Document>()
}

/// The document as a `T`, if `T` is [`Document`].
pub(super) fn same<T>(document: Document) -> Result<T, Document> {
    if !is_document::<T>() {
        return Err(document);
    }
    let document = ManuallyDrop::new(document);
    // SAFETY: `T` is `Document`, so the value is one, and it is moved: the original is not dropped.
    Ok(unsafe { std::ptr::from_ref(&*document).cast::<T>().read() })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use bson::{RawDocumentBuf, doc};

    use super::*;

    #[derive(Debug)]
    struct Borrowing<'a>(#[allow(dead_code, reason = "only the type matters")] Cow<'a, str>);

    fn with_lifetime<'a>(_: &'a str) -> bool {
        is_document::<Borrowing<'a>>()
    }

    #[test]
    fn only_a_document_is_one() {
        assert!(is_document::<Document>());
        assert!(!is_document::<RawDocumentBuf>() && !is_document::<&Document>() && !is_document::<Option<Document>>());
        let local = String::from("x");
        assert!(!with_lifetime(&local));
    }

    #[test]
    fn a_document_is_moved() {
        assert_eq!(same::<Document>(doc! { "a": [1, "b"] }).unwrap(), doc! { "a": [1, "b"] });
        assert_eq!(same::<Borrowing<'_>>(doc! { "a": 1 }).unwrap_err(), doc! { "a": 1 });
    }
}
