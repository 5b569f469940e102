//! The command line beside a gateway's database, in both formats.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const CONFIG: &str = r#"
[chain]
id = "poq-1"
node = "http://127.0.0.1:1"
key = "gateway"
keyring = "test"
"#;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), CONFIG).unwrap();

        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit status is a success, stdout, stderr.
    fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_poq-gateway"))
            .arg("--home")
            .arg(self.path())
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn text(&self, arguments: &[&str]) -> String {
        let (is_done, out, err) = self.run(arguments);
        assert!(is_done, "{arguments:?}: {err}");
        out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        serde_json::from_str(&self.text(&arguments)).unwrap()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let (is_done, out, err) = self.run(arguments);
        assert!(!is_done && out.is_empty(), "{arguments:?}: {out}");
        err
    }
}

#[test]
fn groups_have_credit_and_keys() {
    let home = Home::new();
    let created = home.json(&["groups", "create", "team", "--credit", "500"]);
    assert_eq!(
        (&created["name"], &created["credit"]),
        (&json!("team"), &json!(500))
    );
    let topped = home.text(&["groups", "top-up", "team", "250"]);
    assert!(topped.contains("credit     750"), "{topped}");
    home.text(&["groups", "create", "other"]);
    let listed = home.json(&["groups", "list"]);
    assert_eq!(listed[1]["topped_up"], 750);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let listed = home.text(&["groups", "list"]);
    assert!(
        listed.contains("team  credit 750  paid in 750  charged 0  returned 0"),
        "{listed}"
    );

    assert!(
        home.refused(&["groups", "create", "team"])
            .contains("already")
    );
    assert!(
        home.refused(&["groups", "create", "two words"])
            .contains("cannot be the name")
    );
    assert!(
        home.refused(&["groups", "top-up", "nobody", "1"])
            .contains("no group `nobody`")
    );
    assert!(
        home.refused(&["groups", "top-up", "team", "0"])
            .contains("at least 1")
    );
    let too_much = u64::MAX.to_string();
    assert!(
        home.refused(&["groups", "top-up", "team", &too_much])
            .contains("so much money")
    );
    assert!(
        home.refused(&["keys", "create", "--name", "a", "--group", "x"])
            .contains("no group `x`")
    );
}

#[test]
fn a_key_is_shown_with_its_group_and_limits() {
    let home = Home::new();
    home.text(&["groups", "create", "team"]);
    let created = home.json(&[
        "keys",
        "create",
        "--name",
        "app",
        "--group",
        "team",
        "--budget-day",
        "9000",
        "--model",
        "m",
    ]);
    let key = created["key"].as_str().unwrap();
    let shown = home.json(&["keys", "show", "app"]);
    assert_eq!(shown["prefix"], key[..8]);
    assert_eq!(
        (&shown["group"], &shown["models"], &shown["state"]),
        (&json!("team"), &json!(["m"]), &json!("valid"))
    );
    let limits = &shown["limits"];
    assert_eq!(
        (&limits["budget_day"], &limits["streams"]),
        (&json!(9000), &Value::Null)
    );
    let text = home.text(&["keys", "show", &key[..8]]);
    for part in ["app", "team", "9000", "no limit"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains(key));
    // A key of nobody's group, as before there were groups.
    home.text(&["keys", "create", "--name", "own"]);
    let listed = home.json(&["keys", "list"]);
    let groups: Vec<_> = (0..2).map(|index| &listed[index]["group"]).collect();
    assert_eq!(groups, [&json!("team"), &Value::Null]);
    home.text(&["keys", "create", "--name", "own"]);
    assert!(home.refused(&["keys", "show", "own"]).contains("2 keys"));
    assert!(home.refused(&["keys", "show", "nobody"]).contains("no key"));
}

#[test]
fn keys_go_from_one_gateway_to_another_without_their_secrets() {
    let (one, other) = (Home::new(), Home::new());
    one.text(&["groups", "create", "team", "--credit", "500"]);
    let created = one.json(&[
        "keys",
        "create",
        "--name",
        "app",
        "--group",
        "team",
        "--streams",
        "3",
    ]);
    one.text(&["keys", "create", "--name", "old"]);
    one.text(&["keys", "revoke", "old"]);
    let exported = one.text(&["keys", "export"]);
    assert!(!exported.contains(created["key"].as_str().unwrap()));
    let file = other.path().join("keys.json");
    fs::write(&file, &exported).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(
        other.json(&["keys", "import", file]),
        json!({ "added": 2, "updated": 0 })
    );
    assert_eq!(other.text(&["keys", "export"]), exported);
    // The credit stays where it is.
    assert_eq!(other.json(&["groups", "list"])[0]["credit"], 0);
    // What another gateway does not know of a revocation does not undo it.
    other.text(&["keys", "revoke", "app"]);
    assert_eq!(
        other.text(&["keys", "import", file]),
        "0 added, 2 updated\n"
    );
    assert_eq!(other.json(&["keys", "show", "app"])["state"], "revoked");

    fs::write(file, "[{}]").unwrap();
    assert!(
        other
            .refused(&["keys", "import", file])
            .contains("keys export")
    );
}

#[test]
fn deposits_are_listed_and_assigned() {
    let home = Home::new();
    assert_eq!(home.json(&["deposits", "list"]), json!([]));
    home.text(&["groups", "create", "team"]);
    let database = rusqlite::Connection::open(home.path().join("data/gateway.db")).unwrap();
    database
        .execute(
            "INSERT INTO deposits VALUES (12, 1, 0, 'poq1customer', 70, 'hi', NULL)",
            [],
        )
        .unwrap();
    let listed = home.text(&["deposits", "list", "--unassigned"]);
    assert_eq!(
        listed,
        "12-1-0  70  unassigned  from poq1customer  \"hi\"\n"
    );
    let assigned = home.json(&["deposits", "assign", "12-1", "team"]);
    assert_eq!(assigned["group"], "team");
    assert_eq!(home.json(&["groups", "list"])[0]["deposited"], 70);
    assert_eq!(home.json(&["deposits", "list", "--unassigned"]), json!([]));
    assert_eq!(home.json(&["deposits", "list"])[0]["deposit"], "12-1-0");
    assert!(
        home.refused(&["deposits", "assign", "12-1", "team"])
            .contains("no unassigned transfer 12-1-0")
    );
    assert!(
        home.refused(&["deposits", "assign", "x", "team"])
            .contains("HEIGHT-INDEX")
    );
}
