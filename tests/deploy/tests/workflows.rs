//! The workflows as they are, and mistakes in them that must be noticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::process::Command;

use deploy_tests::{github, workflows};

fn documented() -> String {
    fs::read_to_string(github().join("README.md")).unwrap()
}

#[test]
fn nothing_is_wrong_with_any_workflow() {
    let texts = workflows::texts().unwrap();
    let names: Vec<_> = texts.keys().map(String::as_str).collect();
    assert_eq!(names, ["deploy.yaml", "release.yaml", "rollback.yaml", "test.yaml"]);
    let problems = workflows::problems(&texts, &documented());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_script_is_one_to_a_shell() {
    let scripts = workflows::scripts(&workflows::texts().unwrap());
    assert!(scripts.len() > 20, "{}", scripts.len());
    for script in scripts {
        let output = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Makes the mistake in one file, and looks for the words in what is said then. Without it they are not said.
#[track_caller]
fn is_caught(file: &str, right: &str, wrong: &str, words: &str) {
    let mut texts = workflows::texts().unwrap();
    assert_eq!(workflows::problems(&texts, &documented()), Vec::<String>::new(), "before any mistake");
    let text = texts.get_mut(file).unwrap();
    assert!(text.contains(right), "{file} has no `{right}`");
    *text = text.replacen(right, wrong, 1);
    let problems = workflows::problems(&texts, &documented());
    assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:#?}");
}

#[test]
fn a_field_that_does_not_exist() {
    is_caught("test.yaml", "timeout-minutes: 150", "timeout: 150", "unknown field `timeout`");
    is_caught(
        "test.yaml",
        "  pull_request:\n",
        "  pull_request_target:\n",
        "unknown field `pull_request_target`",
    );
    is_caught(
        "test.yaml",
        "runs-on: ubuntu-24.04",
        "runs-on: ubuntu-24.04\n    container: a/b:1",
        "unknown field `container`",
    );
}

#[test]
fn a_job_without_an_end_or_with_rights_that_nobody_named() {
    is_caught("test.yaml", "    timeout-minutes: 150\n", "", "test: it has no timeout");
    is_caught("test.yaml", "    permissions:\n      contents: read\n", "", "test: it says no permissions");
    is_caught("test.yaml", "permissions: {}", "permissions: { contents: write }", "not to a whole workflow");
    is_caught("test.yaml", "permissions: {}", "permissions: write-all", "test.yaml: permissions");
    is_caught(
        "test.yaml",
        "concurrency:\n  group: test-${{ github.ref }}\n  cancel-in-progress: true\n",
        "",
        "how many may run at once",
    );
}

#[test]
fn an_action_that_is_not_pinned() {
    let pinned = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";
    for loose in
        ["actions/checkout@v7.0.1", "actions/checkout@main # v7.0.1", pinned.trim_end_matches(" # v7.0.1")]
    {
        is_caught("test.yaml", pinned, loose, "is not pinned by its commit");
    }
}

#[test]
fn a_command_that_does_not_exist() {
    is_caught("test.yaml", "cargo xtask test", "cargo xtask tests", "unrecognized subcommand 'tests'");
    is_caught(
        "test.yaml",
        "cargo xtask test",
        "cargo xtask test --only everything",
        "invalid value 'everything'",
    );
    is_caught(
        "release.yaml",
        "cargo xtask image push",
        "cargo xtask image publish",
        "unrecognized subcommand 'publish'",
    );
    is_caught("release.yaml", "cargo xtask drill rollout", "cargo xtask drill", "cargo xtask drill");
}

#[test]
fn an_expression_in_a_script() {
    let right = "--password-stdin <<<\"$REGISTRY_PASSWORD\"";
    is_caught("deploy.yaml", right, "-p ${{ secrets.REGISTRY_PASSWORD }}", "it goes through `env`");
    is_caught("release.yaml", "${GITHUB_REF_NAME#v}", "${{ github.ref_name }}", "it goes through `env`");
}

#[test]
fn a_secret_that_can_be_seen() {
    let login = "--password-stdin <<<\"$REGISTRY_PASSWORD\"";
    is_caught(
        "deploy.yaml",
        login,
        "--password \"$REGISTRY_PASSWORD\"",
        "`REGISTRY_PASSWORD` is secret and may be seen",
    );
    is_caught(
        "deploy.yaml",
        "cat <<<\"$CLUSTER\" > ",
        "cat <<<\"$CLUSTER\" | tee ",
        "`CLUSTER` is secret and may be seen",
    );
    is_caught(
        "deploy.yaml",
        "umask 077 && ",
        "echo \"${CLUSTER}\" && ",
        "`CLUSTER` is secret and may be seen",
    );
    is_caught("deploy.yaml", "umask 077 && ", "set -x && ", "`set -x` shows every value");
    is_caught("test.yaml", "persist-credentials: false", "fetch-depth: 0", "the checkout leaves its token");
}

#[test]
fn an_image_by_its_tag() {
    is_caught(
        "release.yaml",
        "\"$REGISTRY/sugang@$APPLICATION\"",
        "\"$REGISTRY/sugang:$GITHUB_REF_NAME\"",
        "has no digest",
    );
    is_caught(
        "deploy.yaml",
        "verify \"$REGISTRY/sugang@$APPLICATION\"",
        "verify \"$REGISTRY/sugang:$RELEASE\"",
        "has no digest",
    );
    is_caught(
        "deploy.yaml",
        "sugang-host=$REGISTRY/sugang-host@$HOST",
        "sugang-host=$REGISTRY/sugang-host:$RELEASE",
        "has no digest",
    );
}

#[test]
fn production_without_an_approval() {
    let environment = "    environment:\n      name: ${{ inputs.environment }}\n      url: ${{ vars.URL }}\n";
    is_caught("deploy.yaml", environment, "", "to no environment that could ask for approval");
}

#[test]
fn what_is_built_signs() {
    is_caught("release.yaml", "      packages: write\n", "      id-token: write\n", "could sign in our name");
}

#[test]
fn something_that_is_not_there() {
    is_caught("release.yaml", "needs: version", "needs: versions", "there is no job `versions`");
    is_caught(
        "release.yaml",
        "needs.application.outputs.digest",
        "needs.application.outputs.image",
        "`needs.application.outputs.image` is nothing",
    );
    is_caught(
        "release.yaml",
        "steps.push.outputs",
        "steps.pushed.outputs",
        "`steps.pushed.outputs.digest` is nothing",
    );
    is_caught("deploy.yaml", "inputs.application", "inputs.app", "`inputs.app` is nothing");
    is_caught("rollback.yaml", "workflows/deploy.yaml", "workflows/rollout.yaml", "which cannot be called");
    is_caught(
        "rollback.yaml",
        "      release: ${{ inputs.release }}\n",
        "",
        "`deploy.yaml` needs the input `release`",
    );
    is_caught(
        "rollback.yaml",
        "      host: ${{ needs",
        "      hosts: ${{ needs",
        "`deploy.yaml` takes no input `hosts`",
    );
    is_caught(
        "release.yaml",
        "      packages: read\n",
        "",
        "`deploy.yaml` needs the permission `packages: read`",
    );
}

#[test]
fn a_secret_or_a_variable_that_nobody_is_told_of() {
    is_caught("deploy.yaml", "vars.OVERLAY", "vars.OVERLAYS", "`OVERLAYS` is not documented");
    is_caught(
        "deploy.yaml",
        "secrets.KUBECONFIG",
        "secrets.CLUSTER_TOKEN",
        "`CLUSTER_TOKEN` is not documented",
    );
}

#[test]
fn a_failure_within_a_pipe() {
    is_caught("release.yaml", "shell: bash", "shell: sh", "a failure within a pipe");
}

#[test]
fn a_script_that_grows() {
    is_caught(
        "test.yaml",
        "run: cargo xtask test",
        "run: |\n          :\n          :\n          :\n          :\n          :\n          :\n          :\n          :\n          :\n          :\n          :",
        "a command of its own",
    );
}
