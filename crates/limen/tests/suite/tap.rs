//! `limen tap bench`: its form. What it measures is this machine's, and no test's matter.

use crate::run::Folder;

#[test]
fn the_bench_tells_each_profile_and_stays_within_its_bytes() {
    let told = Folder::new().limen(&["tap", "bench", "--json"]).expect(0, "profiles").json();
    let profiles = told["profiles"].as_array().unwrap();
    let names: Vec<&str> = profiles.iter().map(|it| it["profile"].as_str().unwrap()).collect();
    assert_eq!(names, ["express", "fast", "standard", "identity"]);
    for profile in profiles {
        for figure in ["reader_us", "wallet_us", "bare_us", "reader_ratio"] {
            assert!(profile[figure].as_f64().unwrap() > 0.0, "{figure} of {profile}");
        }
        assert!(profile["apdus"].as_u64().unwrap() >= 3);
    }
    assert_eq!(profiles[0]["apdus"], 3, "SELECT and two more");
    assert!(profiles[0]["bytes_on_air"].as_u64().unwrap() <= 350);
}
