//! Files that break a rule of the format: each must be refused, at the place and for the rule that its name tells.

use super::file::reader::Rule;
use super::file::{self, Fault};
use mongo_blocking_test_server::report::Report;

pub fn refuse_all(report: &mut Report) {
    for fixture in report.fixtures() {
        let judgement = match file::read(&fixture.text) {
            Ok(_) => Err("was accepted".to_owned()),
            Err(fault) if fits(&fixture.name, &fault) => Ok(()),
            Err(fault) => Err(format!("was refused, but for another reason: {fault}")),
        };
        report.judged(&fixture.name, judgement);
    }
}

/// Whether a file of this name may be refused for this fault. A name is the place, a hyphen, the rule:
/// `entity-client-id-required`.
fn fits(name: &str, fault: &Fault) -> bool {
    if let Some((_, place, rule)) = ODD_NAMES.iter().find(|(odd, _, _)| *odd == name) {
        return fault.path.ends_with(place) && rule_fits(rule, &fault.rule);
    }
    let Some((place, rule)) = name.rsplit_once('-') else { return false };
    // The key that is judged is the last word of the place; of an unknown key, a missing key or an element, its parent.
    let key = place.rsplit('-').next().unwrap_or(place);
    let at = fault.path.as_str();
    let found = match rule {
        "items" => at.ends_with(']') && at.contains(&format!("{key}[")),
        "additionalProperties" => !at.is_empty(),
        _ => at.rsplit(['.', '[', ']']).any(|part| part == key) || !NAMES_A_KEY.contains(&rule),
    };
    found && rule_fits(rule, &fault.rule)
}

fn rule_fits(name: &str, rule: &Rule) -> bool {
    match name {
        "type" | "items" => matches!(rule, Rule::Type(_)),
        "required" => *rule == Rule::Required,
        "additionalProperties" => *rule == Rule::Unknown,
        "minItems" => *rule == Rule::MinItems,
        "minProperties" => *rule == Rule::MinProperties,
        "maxProperties" => *rule == Rule::MaxProperties,
        "enum" | "const" => *rule == Rule::Enum,
        "pattern" => matches!(rule, Rule::Pattern(_)),
        other => other.strip_prefix("conflicts_with_").is_some_and(|with| *rule == Rule::Conflict(named(with))),
    }
}

/// The key as it is spelled in the fault.
fn named(key: &str) -> &'static str {
    ["expectResult", "expectError", "saveResultAsEntity", "eventType"]
        .into_iter()
        .find(|known| key.ends_with(known))
        .unwrap_or("unknown key")
}

/// The rules whose file names have the offending key right before the rule.
const NAMES_A_KEY: &[&str] = &["type", "required", "enum", "pattern", "minItems"];

/// Files whose names do not follow the pattern: the end of the place, the rule.
const ODD_NAMES: &[(&str, &str, &str)] = &[
    (
        "clientEncryptionOpts-kmsProviders-invalidName",
        "kmsProviders.aws:name_with_invalid_character*",
        "additionalProperties",
    ),
    ("clientEncryptionOpts-tlsOptions_not_supported", "clientEncryptionOpts.tlsOptions", "additionalProperties"),
    ("entity-client-observeLogMessages-property-type", "observeLogMessages.command", "type"),
    ("entity-client-observeLogMessages-property-value", "observeLogMessages.command", "enum"),
    (
        "entity-client-observeTracingMessages-additionalPropertyType",
        "observeTracingMessages.enableCommandPayload",
        "type",
    ),
    // The format has lost its streams, so that every one of them is an unknown kind of entity.
    ("entity-stream-hexBytes-pattern", "stream", "additionalProperties"),
    ("entity-stream-hexBytes-required", "stream", "additionalProperties"),
    ("entity-stream-hexBytes-type", "stream", "additionalProperties"),
    ("entity-stream-id-required", "stream", "additionalProperties"),
    ("entity-stream-id-type", "stream", "additionalProperties"),
    ("expectedEventsForClient-events_conflicts_with_cmap_eventType", "events[0]", "conflicts_with_eventType"),
    ("expectedEventsForClient-events_conflicts_with_command_eventType", "events[0]", "conflicts_with_eventType"),
    ("expectedEventsForClient-events_conflicts_with_default_eventType", "events[0]", "conflicts_with_eventType"),
    // An operation expects no events; only a test does.
    ("operation-expectEvents-type", "operations[0].expectEvents", "additionalProperties"),
    // The files on traces still say `tags` where the format now says `attributes`, which alone is enough to refuse them.
    ("expectedTracingSpans-additionalProperties", "spans[0].attributes", "required"),
    ("expectedTracingSpans-clientType", "expectTracingMessages.client", "type"),
    ("expectedTracingSpans-emptyNestedSpan", "spans[0].attributes", "required"),
    ("expectedTracingSpans-invalidNestedSpan", "spans[0].attributes", "required"),
    ("expectedTracingSpans-missingPropertyClient", "expectTracingMessages.client", "required"),
    ("expectedTracingSpans-missingPropertySpans", "expectTracingMessages.spans", "required"),
    ("expectedTracingSpans-spanMalformedAdditionalProperties", "spans[0].attributes", "required"),
    ("expectedTracingSpans-spanMalformedMissingName", "spans[0].name", "required"),
    ("expectedTracingSpans-spanMalformedMissingTags", "spans[0].attributes", "required"),
    ("expectedTracingSpans-spanMalformedNestedMustBeArray", "spans[0].attributes", "required"),
    ("expectedTracingSpans-spanMalformedTagsMustBeObject", "spans[0].attributes", "required"),
];
