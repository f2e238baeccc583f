//! A recurrence as JSON: `{"rule", "from", "to", "offset"}`, as the city pass carries it.

use credential::rights::{Recurrence, Window};
use serde_json::{Value, json};

/// The JSON of a recurrence: the RFC 5545 rule, first minute of the day, the minute after the last,
/// and minutes from UTC to local time.
#[must_use]
pub fn write(recurrence: &Recurrence) -> Value {
    let window = recurrence.window();
    json!({
        "rule": recurrence.rule(),
        "from": window.from(),
        "to": window.to(),
        "offset": recurrence.offset_minutes(),
    })
}

/// The recurrence of a JSON object with exactly these four members.
#[must_use]
pub fn read(value: &Value) -> Option<Recurrence> {
    let members = value.as_object().filter(|members| members.len() == 4)?;
    let number = |name: &str| members.get(name)?.as_i64();
    let minute = |name: &str| u16::try_from(number(name)?).ok();
    let rule: Recurrence = members.get("rule")?.as_str()?.parse().ok()?;
    let window = Window::new(minute("from")?, minute("to")?)?;
    rule.within(window).with_offset(i16::try_from(number("offset")?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurrence_returns_from_its_json() {
        let rule: Recurrence = "FREQ=WEEKLY;BYDAY=MO,FR".parse().unwrap();
        let recurrence = rule.within(Window::new(480, 1080).unwrap()).with_offset(60).unwrap();
        let value = write(&recurrence);
        assert_eq!(read(&value), Some(recurrence));
        for (member, to) in [("rule", json!("FREQ=YEARLY")), ("from", json!(1440)), ("x", json!(1))]
        {
            let mut broken = value.clone();
            broken[member] = to;
            assert_eq!(read(&broken), None, "{member}");
        }
    }
}
