//! What taps must prove, as a setting of the city in JSON.

use fleet::taps::TapSettings;
use reader::taps::{TapPolicy, Taps, TimeBound};
use serde_json::{Value, json};

use crate::commit::{CommitError, Plan, Setting, Table};
use crate::rows::{ReadError, setting};
use crate::store::TenantStore;

const SETTING: &str = "taps";

pub(super) fn plan(plan: &mut Plan<'_>, settings: &TapSettings) -> Result<(), CommitError> {
    let Taps { low, normal, high } = &settings.taps;
    let value = json!({ "low": write(low), "normal": write(normal), "high": write(high) });
    let (name, value) = (SETTING.into(), value.to_string().into_bytes());
    setting::plan(plan, &Setting { name, value, version: settings.version })
}

fn write(policy: &TapPolicy) -> Value {
    let TapPolicy { least, stronger_per_mille, bound } = policy;
    // INVARIANT: what is set is below two minutes.
    let ms = |time: core::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    json!({
        "least": least.as_str(),
        "stronger_per_mille": stronger_per_mille,
        "apdu_ms": ms(bound.apdu),
        "total_ms": ms(bound.total),
    })
}

fn read(setting: &Setting) -> Option<TapSettings> {
    let value: Value = serde_json::from_slice(&setting.value).ok()?;
    let policy = |class| {
        let policy: &Value = value.get(class)?;
        let number = |name| policy.get(name)?.as_u64()?.try_into().ok();
        Some(TapPolicy {
            least: policy.get("least")?.as_str()?.parse().ok()?,
            stronger_per_mille: u16::try_from(number("stronger_per_mille")?).ok()?,
            bound: TimeBound::of_ms(number("apdu_ms")?, number("total_ms")?),
        })
    };
    let taps = Taps { low: policy("low")?, normal: policy("normal")?, high: policy("high")? };
    Some(TapSettings { taps, version: setting.version })
}

impl TenantStore {
    /// What the city has set of taps, if anything; it stands with the city's own operator.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn taps(&self) -> Result<Option<TapSettings>, ReadError> {
        let setting = self.setting(SETTING).await?;
        let read = |setting| read(&setting).ok_or(ReadError::Corrupt(Table::Setting));
        setting.map(read).transpose()
    }
}
