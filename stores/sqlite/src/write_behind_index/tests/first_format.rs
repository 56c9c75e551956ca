//! A file of the first format, whose keys are all in their tables.

use rusqlite::params;

use super::*;

#[test]
fn a_file_of_the_first_format_keeps_its_keys_and_event_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("pragma auto_vacuum = incremental").unwrap();
    conn.execute_batch(include_str!("../../migrations/0001_first.sql")).unwrap();
    conn.execute_batch("insert into names values (1, 'partner')").unwrap();
    for n in 0..EVENTS {
        let (seq, old) = (n as i64 + 1, numbered(n));
        let event = &old.events[0];
        let answer = crate::reply_codec::encode(&old.answer);
        let add = "insert into deliveries values (?1, 1, '[]', ?2, x'00')";
        conn.execute(add, params![seq, answer]).unwrap();
        for (kind, key) in event.keys.iter().enumerate() {
            let add = "insert into keys (hash, kind, event, at) values (?1, ?2, ?3, ?4)";
            let at = old.received_at.as_millis();
            conn.execute(add, params![key.hash, kind as i64, seq, at]).unwrap();
        }
        let keys: Vec<u8> = event.keys.iter().flat_map(|key| key.hash).collect();
        let add =
            "insert into events values (?1, ?1, ?2, 1, ?3, 0, 'order.paid', ?4, null, ?5, null)";
        let at = old.received_at.as_millis();
        conn.execute(add, params![seq, event.id.as_bytes(), at, event.event_id, keys]).unwrap();
    }
    conn.execute_batch("pragma application_id = 0x484b5744; pragma user_version = 1").unwrap();
    drop(conn);

    let mut store = TestStore::open(folder);
    for n in 0..EVENTS {
        let acceptance = store.accept(vec![numbered(n)]).remove(0);
        let Acceptance::Duplicate { answer, .. } = acceptance else { panic!("{n} is known") };
        assert_eq!(answer.body, numbered(n).answer.body);
        assert_eq!(store.found(&n.to_string()), 1);
    }
    store.accept((20..30).map(numbered).collect());
    store.flush(20);
    assert_eq!((store.count("keys"), store.count("event_ids")), (40, 20));
    assert_eq!(store.purge(after(1)), 20);
    assert_eq!((store.count("keys"), store.count("event_ids")), (0, 0));
}
