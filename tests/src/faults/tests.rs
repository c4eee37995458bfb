//! The proxy before a server that answers every request with its body.

use std::io::{BufReader, Read as _, Write as _};
use std::time::Instant;

use anyhow::Result;

use super::framing::Head;
use super::*;
use crate::http::{Connection, Request};

/// Answers each request with its method, its target and its body, for as long as the test's process lives.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let address = listener.local_addr().expect("address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut reader = BufReader::new(&client);
                while let Ok(Some(head)) = Head::read(&mut reader) {
                    let (method, target) = head.asked().expect("a request line");
                    let mut body = format!("{method} {target} ").into_bytes();
                    let read = head.body().pass(&mut reader, &mut |piece| {
                        body.extend_from_slice(piece);
                        Ok(())
                    });
                    if read.is_err() {
                        return;
                    }
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    let sent = (&client).write_all(head.as_bytes());
                    if method != "HEAD" && sent.and_then(|()| (&client).write_all(&body)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn ask(proxy: &FaultProxy, request: &Request) -> Result<String> {
    Ok(Connection::open(proxy.address())?.exchange(request)?.text())
}

#[test]
fn without_faults_everything_passes() {
    let proxy = FaultProxy::before(echo());
    let mut connection = Connection::open(proxy.address()).expect("connect");
    let mut exchange = |request: &Request| connection.exchange(request).expect("an answer").text();
    assert_eq!(exchange(&Request::get("/a")), "GET /a ");
    assert_eq!(exchange(&Request::head("/a")), "");
    assert_eq!(exchange(&Request::put("/b", "bytes")), "PUT /b bytes");
    let chunked = Request::put("/c", crate::http::chunked(b"abc", 2)).header("Transfer-Encoding", "chunked");
    assert_eq!(exchange(&chunked), "PUT /c 2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_eq!(proxy.connections(), 1);
    assert_eq!(proxy.requests(), ["GET /a", "HEAD /a", "PUT /b", "PUT /c"]);
}

#[test]
fn a_fault_fits_a_method_and_a_part_of_the_target_as_often_as_said() {
    let proxy = FaultProxy::before(echo());
    proxy.once("PUT", "part=2", Fault::s3_error(503, "SlowDown", "come back"));
    proxy.times(2, "", "/gone", Fault::garbage());
    assert_eq!(ask(&proxy, &Request::put("/a?part=1", "x")).expect("passes"), "PUT /a?part=1 x");
    assert_eq!(ask(&proxy, &Request::get("/a?part=2")).expect("passes"), "GET /a?part=2 ");
    let refused =
        Connection::open(proxy.address()).expect("connect").exchange(&Request::put("/a?part=2", "x"));
    let refused = refused.expect("an answer");
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("<Code>SlowDown</Code><Message>come back</Message>"),
        "{}",
        refused.text()
    );
    assert_eq!(ask(&proxy, &Request::put("/a?part=2", "x")).expect("passes again"), "PUT /a?part=2 x");
    for _ in 0..2 {
        assert!(ask(&proxy, &Request::get("/gone")).is_err());
    }
    assert!(ask(&proxy, &Request::get("/gone")).is_ok());
    proxy.always("", "", Fault::redirect("http://127.0.0.1:1/secret"));
    let answer =
        Connection::open(proxy.address()).expect("connect").exchange(&Request::get("/a")).expect("one");
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://127.0.0.1:1/secret")));
    proxy.heal();
    assert!(ask(&proxy, &Request::get("/a")).is_ok());
}

/// What a client reads until the end, and how it ends, when the answer to `/a` is cut after four bytes of its body.
fn read_cut(cut: Cut) -> (String, Result<(), io::ErrorKind>) {
    let proxy = FaultProxy::before(echo());
    proxy.once("", "", Fault::Answer(Point::Body(4), cut));
    let mut stream = TcpStream::connect(proxy.address()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a time limit");
    stream.write_all(b"PUT /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nbytes").expect("send");
    let mut read = Vec::new();
    let ended = stream.read_to_end(&mut read).map(drop).map_err(|error| error.kind());
    let text = String::from_utf8_lossy(&read).into_owned();
    (text.split_once("\r\n\r\n").map_or(text.clone(), |(_, body)| body.to_owned()), ended)
}

#[test]
fn an_answer_is_cut_after_so_many_bytes() {
    assert_eq!(read_cut(Cut::Close), ("PUT ".to_owned(), Ok(())));
    assert_eq!(read_cut(Cut::HalfClose), ("PUT ".to_owned(), Ok(())));
    assert_eq!(read_cut(Cut::Stall), ("PUT ".to_owned(), Err(io::ErrorKind::WouldBlock)));
    let (_, ended) = read_cut(Cut::Reset);
    assert_eq!(ended, Err(io::ErrorKind::ConnectionReset));
}

/// What a server reads of a request until its connection ends, and how it ends.
fn received(fault: Fault) -> (String, Result<(), io::ErrorKind>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let proxy = FaultProxy::before(listener.local_addr().expect("address"));
    proxy.once("", "", fault);
    let mut client = TcpStream::connect(proxy.address()).expect("connect");
    client.write_all(b"PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789").expect("send");
    let (mut server, _) = listener.accept().expect("accept");
    server.set_read_timeout(Some(Duration::from_millis(500))).expect("a time limit");
    let mut read = Vec::new();
    let ended = server.read_to_end(&mut read).map(drop).map_err(|error| error.kind());
    (String::from_utf8_lossy(&read).into_owned(), ended)
}

#[test]
fn a_request_is_cut_before_it_passes_or_within_its_body() {
    let head = "PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
    let after = |bytes, cut| received(Fault::Request(Point::Body(bytes), cut));
    assert_eq!(after(0, Cut::Close), (head.to_owned(), Ok(())));
    assert_eq!(after(3, Cut::HalfClose), (format!("{head}123"), Ok(())));
    assert_eq!(after(3, Cut::Stall), (format!("{head}123"), Err(io::ErrorKind::WouldBlock)));
    assert_eq!(after(3, Cut::Reset).1, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(received(Fault::Request(Point::Head, Cut::Close)), (String::new(), Ok(())));
    // One that is shorter than the point passes whole.
    assert_eq!(after(10, Cut::Close).0, format!("{head}123456789"));
}

#[test]
fn a_body_is_slowed_either_way() {
    for fault in [Fault::SlowRequest(1000), Fault::SlowAnswer(1000)] {
        let proxy = FaultProxy::before(echo());
        proxy.once("", "", fault);
        let begun = Instant::now();
        let answer = ask(&proxy, &Request::put("/a", vec![b'x'; 300])).expect("an answer");
        assert_eq!(answer.len(), "PUT /a ".len() + 300);
        assert!(begun.elapsed() > Duration::from_millis(250), "{:?}", begun.elapsed());
    }
}

#[test]
fn connections_are_refused_and_cut() {
    let proxy = FaultProxy::before(echo());
    proxy.refuse(true);
    assert!(ask(&proxy, &Request::get("/a")).is_err());
    assert_eq!((proxy.connections(), proxy.requests().len()), (1, 0));
    proxy.refuse(false);
    let mut connection = Connection::open(proxy.address()).expect("connect");
    assert!(connection.exchange(&Request::get("/a")).is_ok());
    proxy.cut_all();
    assert!(connection.exchange(&Request::get("/a")).is_err());
}
