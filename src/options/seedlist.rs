//! What DNS adds to the options of a `mongodb+srv` connection string: the hosts, and the options of a TXT record.

use super::option_map::OptionMap;
use super::query;
use super::raw::Seedlist;
use super::spec::OptionId;
use super::table::find;
use super::{ClientSettings, validate};
use crate::error::{Error, FaultKind, Result, Stage};
use crate::uri::{self, Pair};
use crate::warning::Warnings;

impl ClientSettings {
    /// What the SRV records named, once they were asked for.
    pub(crate) fn seedlist(&self) -> Option<&Seedlist> {
        self.given.seedlist.as_ref()
    }

    /// These options with the hosts that DNS names for `srv_host`, and below everything else the options of its TXT record;
    /// validated again as a whole.
    pub(crate) fn with_seedlist(self, seedlist: Seedlist, srv_host: &str, txt: Option<&str>) -> Result<Self> {
        let mut given = self.given;
        let mut warnings = Warnings::from(self.warnings);
        let mut names = Vec::new();
        if let Some(txt) = txt {
            let mut settings = read_txt(txt, &mut warnings).map_err(|error| in_txt(error, srv_host))?;
            names = settings.given().map(|(option, _)| option.name()).collect();
            settings.overlay(given.settings.clone());
            given.settings_before_txt = Some(std::mem::replace(&mut given.settings, settings));
        }
        given.seedlist = Some(seedlist);
        given.uri_warnings = warnings;
        validate::options(given).map_err(|error| match names.as_slice() {
            [] => error,
            names => error.with_hint(format!("the TXT record of {srv_host} sets {}", names.join(" and "))),
        })
    }
}

/// Reads the options of a TXT record. Only three are allowed: the owner of the name's records may be another than the author
/// of the connection string.
fn read_txt(txt: &str, warnings: &mut Warnings) -> Result<OptionMap> {
    let pairs = uri::read_options(txt, warnings)?;
    for Pair { name, .. } in &pairs {
        if !find(name).is_some_and(|(spec, _)| ALLOWED.contains(&spec.option)) {
            let names: Vec<&str> = ALLOWED.iter().map(|option| option.name()).collect();
            return Err(Error::invalid_argument(format!("it may set {} only, and sets {name:?}", names.join(", "))));
        }
    }
    Ok(query::read(&pairs, true, warnings)?.options)
}

fn in_txt(error: Error, srv_host: &str) -> Error {
    let message = format!("the TXT record of {srv_host}: {}", error.message());
    Error::new(FaultKind::InvalidResponse, Stage::Dns, message)
        .with_hint("the owner of the name's DNS records has to correct it")
}

pub(super) const ALLOWED: &[OptionId] = &[OptionId::AuthSource, OptionId::ReplicaSet, OptionId::LoadBalanced];
