//! The front: a small synchronous MongoDB server for tests.
