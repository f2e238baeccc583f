//! Notification request (OpenID4VCI 1.0, 11.1).

use credential::jose::json;
use serde::Deserialize;

use crate::notification::{NotificationEvent, NotificationRefusal, NotificationRequest};

/// Bytes in a notification request.
pub const NOTIFICATION_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notification {
    notification_id: String,
    event: String,
    #[serde(default)]
    event_description: Option<String>,
}

/// Reads a notification request, `application/json`. The wallet's description of the event is
/// checked and dropped: it is free text about a person's device.
///
/// # Errors
/// [`NotificationRefusal::Form`]
pub fn read(body: &[u8]) -> Result<NotificationRequest, NotificationRefusal> {
    if body.len() > NOTIFICATION_BYTES_MAX {
        return Err(NotificationRefusal::Form);
    }
    let value = json::parse(body).map_err(|_| NotificationRefusal::Form)?;
    let request: Notification =
        serde_json::from_value(value).map_err(|_| NotificationRefusal::Form)?;
    let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
    if !request.event_description.as_deref().unwrap_or_default().chars().all(allowed) {
        return Err(NotificationRefusal::Form);
    }
    let event = NotificationEvent::named(&request.event).ok_or(NotificationRefusal::Form)?;
    Ok(NotificationRequest { notification_id: request.notification_id, event })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_read_strictly() {
        let check = |body: &str, valid: bool| {
            assert_eq!(read(body.as_bytes()).is_ok(), valid, "{body}");
        };
        check(r#"{"notification_id":"3fwe98js","event":"credential_accepted"}"#, true);
        let described = r#"{"notification_id":"3fwe98js","event":"credential_failure",
            "event_description":"Could not store the Credential. Out of storage."}"#;
        check(described, true);
        check(r#"{"notification_id":"3fwe98js","event":"credential_eaten"}"#, false);
        check(r#"{"notification_id":"3fwe98js"}"#, false);
        check(r#"{"notification_id":"a","event":"credential_accepted","colour":"blue"}"#, false);
        check(
            r#"{"notification_id":"a","notification_id":"a","event":"credential_accepted"}"#,
            false,
        );
        let accented =
            r#"{"notification_id":"a","event":"credential_failure","event_description":"é"}"#;
        check(accented, false);
        let sized = |bytes: usize| {
            let body = r#"{"notification_id":"a","event":"credential_accepted"}"#;
            format!("{body}{}", " ".repeat(bytes - body.len()))
        };
        check(&sized(NOTIFICATION_BYTES_MAX), true);
        check(&sized(NOTIFICATION_BYTES_MAX + 1), false);
    }
}
