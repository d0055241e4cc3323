//! The reference: one page for each subject.
//!
//! Start with the [page of the crate](crate) and the quickstart there. These pages hold what is too long for it.

#[doc = include_str!("authentication.md")]
pub mod authentication {}

#[doc = include_str!("oidc.md")]
pub mod oidc {}

#[doc = include_str!("tls.md")]
pub mod tls {}

#[doc = include_str!("deployments.md")]
pub mod deployments {}

#[doc = include_str!("retries.md")]
pub mod retries {}

#[doc = include_str!("sessions.md")]
pub mod sessions {}

#[doc = include_str!("transactions.md")]
pub mod transactions {}

#[doc = include_str!("srv.md")]
pub mod srv {}

#[doc = include_str!("proxy.md")]
pub mod proxy {}

#[doc = include_str!("options.md")]
pub mod options {}

#[doc = include_str!("features.md")]
pub mod features {}

#[doc = include_str!("platforms.md")]
pub mod platforms {}

#[doc = include_str!("values.md")]
pub mod values {}

#[doc = include_str!("moving_over.md")]
pub mod moving_over {}

#[doc = include_str!("public_items.md")]
pub mod public_items {}

#[doc = include_str!("benchmarks.md")]
pub mod benchmarks {}
