//! `limen config`: the example is taken, mistakes are named.

use crate::run::Folder;

#[test]
fn the_example_is_taken_as_it_is() {
    let folder = Folder::new();
    let example = folder.limen(&["config", "example"]).expect(0, "[http]").out;
    folder.file("limen.toml", &example);
    folder.limen(&["config", "check", "limen.toml"]).expect(0, "limen.toml is taken");
    let json = folder.limen(&["config", "check", "limen.toml", "--json"]).json();
    assert_eq!(json["config"]["http"]["listen"], "127.0.0.1:8080");
}

#[test]
fn mistakes_are_named() {
    let folder = Folder::new();
    let example = folder.limen(&["config", "example"]).out;
    let check = |replace: (&str, &str), text: &str| {
        let changed = example.replace(replace.0, replace.1);
        assert_ne!(changed, example);
        folder.file("limen.toml", changed);
        folder.limen(&["config", "check", "limen.toml"]).expect(2, text);
    };
    check(("[store]", "[shop]"), "shop");
    check(("listen = \"127.0.0.1", "listen = \"0.0.0.0"), "http.listen");
    check(("pairing = \"server", "# \""), "keys.pairing");
    check(("= 1048576", "= 0"), "limits.body_bytes_max");
    check(("[http]", "[http"), "line 3");
    folder.limen(&["config", "check", "none.toml"]).expect(2, "none.toml");
}
