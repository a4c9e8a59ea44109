use super::Client;
use super::scripted::{Scripted, failure, page, place};
use crate::foundations::failure::Kind;

#[test]
fn a_list_that_begins_anew_is_not_taken_for_a_whole_one() {
    let names = |answers: Vec<Vec<u8>>| {
        let answers = answers.into_iter().map(|body| ("200 OK", body)).collect();
        let storage = Scripted::answering(answers);
        let client = Client::open(place(), &storage.settings()).unwrap();
        client.list("packs/").map(|found| found.into_iter().map(|object| object.name).collect::<Vec<_>>())
    };
    let (first, last) = ([("packs/a", 1)], [("packs/b", 1)]);
    let whole = names(vec![page(&first, Some("x")), page(&[], Some("y")), page(&last, None)]);
    assert_eq!(whole.unwrap(), ["packs/a", "packs/b"]);
    for tokens in [&["x", "x"][..], &["x", "y", "x"]] {
        let error = names(tokens.iter().map(|token| page(&first, Some(token))).collect()).unwrap_err();
        assert_eq!((error.verb, error.kind), ("list", Kind::Invalid), "{tokens:?}: {error}");
    }
}

#[test]
fn a_storage_that_waited_too_long_is_asked_again() {
    let read = |answers: Vec<(&'static str, Vec<u8>)>| {
        let storage = Scripted::answering(answers);
        let client = Client::open(place(), &storage.settings()).unwrap();
        (client.read("packs/a", 10), storage.requests())
    };
    let whole = || ("200 OK", b"content".to_vec());
    let (found, requests) = read(vec![("400 Bad Request", failure("RequestTimeout")), whole()]);
    assert_eq!(found.unwrap().unwrap(), "content");
    assert_eq!(requests.len(), 2, "{requests:?}");
    let (found, requests) = read(vec![("400 Bad Request", failure("InvalidRequest")), whole()]);
    assert_eq!(found.unwrap_err().kind, Kind::Invalid);
    assert_eq!(requests.len(), 1, "{requests:?}");
}
