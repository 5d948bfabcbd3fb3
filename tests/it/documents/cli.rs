//! docs/cli.md is what the commands say of themselves.

use rollcall_cli::manual;

#[test]
fn the_reference_of_the_commands_is_up_to_date() {
    let page = super::text("docs/cli.md");
    assert_eq!(page.trim_end(), manual::markdown().trim_end(), "run `make docs`");
}
