//! What a transcript says, in plain words and as JSON.

use credential::x509::Certificate;
use keys::ceremony::transcript::hex;
use keys::ceremony::transcript::verify::{Holder, Verified};
use keys::custody::KeyHandle;
use serde_json::{Value, json};

use crate::{output, world};

/// The handle of the root.
pub(super) fn root(verified: &Verified) -> KeyHandle {
    KeyHandle::of(verified.root.as_bytes())
}

/// The facts for machines.
pub(super) fn value(verified: &Verified) -> Value {
    let holder = |holder: &Holder| {
        json!({
            "name": holder.name.as_str(),
            "staff_key": holder.staff_key.to_string(),
            "share_commitment": hex(&holder.commitment),
        })
    };
    json!({
        "verdict": "valid",
        "ceremony": verified.ceremony.to_string(),
        "rehearsal": verified.rehearsal,
        "kind": verified.kind,
        "city": verified.city,
        "opened_at": verified.span.0.to_string(),
        "closed_at": verified.span.1.to_string(),
        "program": verified.program,
        "root": root(verified).to_string(),
        "custody": verified.custody,
        "certificate_sha256": world::fingerprint(&verified.certificate),
        "old_certificate_sha256":
            verified.link.as_ref().map(|link| world::fingerprint(&link.old_certificate)),
        "link_sha256": verified.link.as_ref().map(|link| world::fingerprint(&link.certificate)),
        "threshold": verified.split.threshold(),
        "custodians": verified.custodians.iter().map(holder).collect::<Vec<_>>(),
        "wrapping_key_check_value": verified.check_value,
        "wrapping_key_trusted_by": verified.trusted_by,
        "backup_sha256": hex(&verified.backup_digest),
    })
}

/// The facts for people.
pub(super) fn text(verified: &Verified) -> String {
    let (threshold, count) = (verified.split.threshold(), verified.split.custodians());
    let deed = if verified.kind == "renew" { "renewed" } else { "created" };
    let until = Certificate::parse(&verified.certificate);
    let until = until.map(|it| it.not_after.to_string()).unwrap_or_default();
    let mut lines = vec![
        format!("The root of {} was {deed} in ceremony {}.", verified.city, verified.ceremony),
        format!("  from           {} to {}", verified.span.0, verified.span.1),
        format!("  led by         {}", verified.program),
        format!("  root           {}, held by {}", root(verified), verified.custody),
        format!("  certificate    {} (SHA-256)", world::fingerprint(&verified.certificate)),
        format!("                 in force until {until}"),
    ];
    if let Some(link) = &verified.link {
        let (old, link) = (&link.old_certificate, &link.certificate);
        lines.push(format!("  old root       {} (SHA-256)", world::fingerprint(old)));
        lines.push(format!("  link           {} (SHA-256)", world::fingerprint(link)));
    }
    lines.push(format!("  wrapping key   check value {}", verified.check_value));
    if verified.trusted_by.is_some() {
        lines.push(String::from("                 trusted by the token's security officer"));
    }
    lines.push(format!("  backup         {} (SHA-256)", hex(&verified.backup_digest)));
    lines.push(format!("  custodians     any {threshold} of these {count} can restore the root:"));
    for holder in &verified.custodians {
        lines.push(format!("    {}, signed with {}", holder.name, holder.staff_key));
    }
    if verified.custody == "software" {
        lines.push(String::from(
            "Custody is by software: whoever has the file and what opens it has the root.",
        ));
    }
    if verified.rehearsal {
        lines.push(String::from("This was a REHEARSAL: none of these keys may be used."));
    }
    output::printable_lines(&lines.join("\n")) + "\n"
}
