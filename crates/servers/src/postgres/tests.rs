use super::*;

fn start(folder: &Path) -> PostgresServer {
    PostgresServer::start(folder, &["fsync=off"]).unwrap()
}

fn ask(server: &PostgresServer, sql: &str) -> String {
    let psql = programs().unwrap().join("psql");
    let output = Command::new(psql).args([&server.url(), "-XAtc", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn wait_for_end(server: &mut PostgresServer) {
    let deadline = Instant::now() + PATIENCE;
    while server.process.exited().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it goes on");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_written_survives_a_kill_and_the_address_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    ask(&server, "CREATE TABLE seats AS SELECT 'taken' AS state");
    let url = server.url();
    server.process().kill().unwrap();

    let server = start(folder.path());
    assert_eq!((ask(&server, "SELECT state FROM seats"), server.url()), ("taken".to_owned(), url));
}

#[test]
fn nobody_gets_in_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let psql = programs().unwrap().join("psql");
    let url = server.url().replace(&server.password, "wrong");
    let output = Command::new(psql).args([&url, "-c", "SELECT 1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("password authentication failed"), "{said}");
}

#[test]
fn a_server_ends_with_whoever_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    // What is left of a process that was killed: its end of the pipe is closed.
    drop(server.lifeline.take());
    wait_for_end(&mut server);
}

#[test]
fn whoever_starts_anew_waits_for_what_a_killed_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(folder.path());
    let url = server.url();
    drop(server.lifeline.take());
    // Whether the first has ended by then is chance.
    assert_eq!(start(folder.path()).url(), url);
    wait_for_end(&mut server);
}

#[test]
fn a_temporary_one_is_gone_with_its_folder_also_when_its_process_was_killed() {
    for killed in [false, true] {
        let mut server = PostgresServer::temporary().unwrap();
        assert_eq!(ask(&server, "SELECT 'a' < 'B' COLLATE \"default\""), "t");
        let folder = server.folder.clone();
        assert!(folder.exists());
        if killed {
            drop(server.lifeline.take());
            wait_for_end(&mut server);
            std::mem::forget(server);
        } else {
            drop(server);
        }
        let deadline = Instant::now() + PATIENCE;
        while folder.exists() {
            assert!(Instant::now() < deadline, "{} stays", folder.display());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn it_ends_at_once_although_somebody_is_connected() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let psql = programs().unwrap().join("psql");
    let mut client = Command::new(psql)
        .args([&server.url(), "-XAtc", "SELECT 'connected'", "-c", "SELECT pg_sleep(600)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut word = [0; 9];
    client.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    let started = Instant::now();
    drop(server);
    assert!(started.elapsed() < ENDING / 2);
    assert!(!client.wait().unwrap().success());
}
